"""Cases that are generated from botocore's model of the APIs."""
