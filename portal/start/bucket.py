"""``python -m portal.start.bucket``: make the bucket that the settings name, where it is missing."""

import os
import sys
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    from django.conf import settings

    options: dict[str, Any] = settings.STORAGES["default"].get("OPTIONS", {})  # type: ignore[attr-defined]
    bucket = options.get("bucket_name")
    if not bucket:
        sys.exit("AWS_STORAGE_BUCKET_NAME is not set: there is no bucket to make.")
    store = boto3.client(
        "s3",
        endpoint_url=options.get("endpoint_url"),
        region_name=options.get("region_name"),
        config=options["client_config"],
    )
    try:
        made = ensure(store, bucket)
    except (BotoCoreError, ClientError) as error:
        sys.exit(f"The bucket {bucket} could not be made ({type(error).__name__}): see the store's address and keys.")
    print(f"The bucket {bucket} {'is made' if made else 'was there already'}.")


def ensure(store: Any, bucket: str) -> bool:
    """Make the bucket unless it is there; tells whether it was made."""
    try:
        store.head_bucket(Bucket=bucket)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
            raise
        store.create_bucket(Bucket=bucket)
        return True
    return False


if __name__ == "__main__":
    main()
