"""Translates template.yaml as AWS does on deployment, and prints plain CloudFormation.

`sam validate --lint` lets misspelled event properties and wrong GetAtts pass; the translator and
cfn-lint on its result do not. Parameters are given as NAME=VALUE.
"""

import json
import os
import sys

from samcli.yamlhelper import yaml_parse
from samtranslator.model.exceptions import InvalidDocumentException
from samtranslator.translator.transform import transform


class NoManagedPolicies:
    """No role of ours has a managed policy, so none is looked up."""

    def load(self):
        return {}


def main(path, parameters):
    # The only Region the stack can be in.
    os.environ["AWS_DEFAULT_REGION"] = "us-east-1"
    with open(path, encoding="utf-8") as file:
        template = yaml_parse(file.read())
    for resource in template["Resources"].values():
        if "CodeUri" in resource.get("Properties", {}):
            # What `sam package` puts there.
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
