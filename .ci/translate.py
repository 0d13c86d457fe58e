"""Translates template.yaml as AWS does on deployment, and prints plain CloudFormation.

`sam validate --lint` does not find misspelled event properties and wrong GetAtts. This translation, and
cfn-lint on its result, find them. The arguments are the template's path and parameters as NAME=VALUE.
"""

import json
import os
import sys

from samcli.yamlhelper import yaml_parse
from samtranslator.model.exceptions import InvalidDocumentException
from samtranslator.translator.transform import transform


class NoManagedPolicies:
    """Looks up no managed policies, because no role in the template has one."""

    def load(self):
        return {}


def main(path, parameters):
    # The Region of most stacks. The translation needs one.
    os.environ["AWS_DEFAULT_REGION"] = "us-east-1"
    with open(path, encoding="utf-8") as file:
        template = yaml_parse(file.read())
    for resource in template["Resources"].values():
        if "CodeUri" in resource.get("Properties", {}):
            # `sam package` also replaces the folder by an S3 address.
            resource["Properties"]["CodeUri"] = "s3://artifacts/function"
    defaults = {name: p["Default"] for name, p in template["Parameters"].items() if "Default" in p}
    given = dict(p.split("=", 1) for p in parameters)
    unknown = given.keys() - template["Parameters"].keys()
    if unknown:
        sys.exit(f"{path} has no parameter {', '.join(sorted(unknown))}")
    try:
        translated = transform(template, {**defaults, **given}, NoManagedPolicies())
    except InvalidDocumentException as error:
        sys.exit("\n".join(cause.message for cause in error.causes))
    json.dump(translated, sys.stdout, indent=1)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
