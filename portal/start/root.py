"""Where Overread shares a host: the part of the address that leads to it, which a proxy may pass on or cut off."""

from typing import Any

from django.conf import settings

from portal.start.lengths import Application


def under_root(application: Application) -> Application:
    """The application, for which that part stands in ``SCRIPT_NAME`` and in no path."""

    def asked_there(given: dict[str, Any], start_response: Any) -> Any:
        root, path = settings.ROOT, given.get("PATH_INFO", "")
        if root:
            given["SCRIPT_NAME"] = root
            if path == root or path.startswith(f"{root}/"):
                given["PATH_INFO"] = path.removeprefix(root) or "/"
        return application(given, start_response)

    return asked_there
