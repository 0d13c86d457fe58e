"""Builds requests from the model: all required members, and one member with a chosen value."""

from stage import DIMENSIONS, LICENSED, epoch, hours

from . import values

# Stands for no value: the member is left out.
ABSENT = object()


class Requests:
    """Requests for one world. They are valid except for the member that a case changes."""

    def __init__(self, stage):
        buyer = stage.buys()
        # Members whose value must exist in the world. The right shape is not enough.
        self.known = {
            "ProductCode": LICENSED,
            "Dimension": DIMENSIONS[0],
            "UsageDimension": DIMENSIONS[0],
            "LicenseArn": buyer["license_arn"],
            "CustomerAWSAccountId": buyer["account_id"],
            "RegistrationToken": buyer["registration_token"],
            "agreementId": buyer["agreement_id"],
            "catalog": "AWSMarketplace",
            "sortBy": "EndTime",
            "adjustmentAmount": "1.00",
            "currencyCode": "USD",
        }
        # Members that the rules require although the model does not.
        self.required_by_rules = {
            "UsageRecord": {name: self.known[name] for name in ("LicenseArn", "CustomerAWSAccountId")},
            "SearchAgreementsInput": {
                "filters": [
                    {"name": "PartyType", "values": ["Proposer"]},
                    {"name": "AgreementType", "values": ["PurchaseAgreement"]},
                ]
            },
        }

    def sample(self, shape, name=None):
        """A value that fits the shape."""
        if name in self.known:
            return self.known[name]
        match shape.type_name:
            case "string":
                return shape.enum[0] if shape.enum else values.of_length(shape, max(1, shape.metadata.get("min", 0)))
            case "integer":
                return max(1, shape.metadata.get("min", 0))
            case "boolean":
                return False
            case "timestamp":
                return epoch(hours(-1))
            case "list":
                return [self.sample(shape.member)]
            case "map":
                return {self.sample(shape.key): self.sample(shape.value)}
            case "structure":
                return self.structure(shape)
        raise AssertionError(f"{shape.name} is a {shape.type_name}, and no sample exists for that type")

    def structure(self, shape):
        required = {name: self.sample(shape.members[name], name) for name in shape.required_members}
        return {**self.required_by_rules.get(shape.name, {}), **required}

    def place(self, shape, path, value):
        """A value of the shape. Its member at the path has the given value."""
        if not path:
            return value
        step, *rest = path
        match shape.type_name:
            case "structure":
                whole = self.structure(shape)
                whole[step] = self.place(shape.members[step], rest, value)
                if whole[step] is ABSENT:
                    del whole[step]
                return whole
            case "list":
                return [self.place(shape.member, rest, value)]
            case "map" if step == "key":
                return {value: self.sample(shape.value)}
            case "map":
                return {self.sample(shape.key): self.place(shape.value, rest, value)}
        raise AssertionError(f"{shape.name} has no {step}")


def nodes(shape, path=(), required=False):
    """Every shape below the request, with the path that leads to it."""
    yield path, shape, required
    match shape.type_name:
        case "structure":
            for name, member in shape.members.items():
                yield from nodes(member, (*path, name), name in shape.required_members)
        case "list":
            yield from nodes(shape.member, (*path, "member"))
        case "map":
            yield (*path, "key"), shape.key, False
            yield from nodes(shape.value, (*path, "value"))
