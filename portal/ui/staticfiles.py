"""Static files under names that carry their hash, so that browsers may keep them for ever."""

from whitenoise.storage import CompressedManifestStaticFilesStorage


class StaticFilesStorage(CompressedManifestStaticFilesStorage):
    """Django's rewriting of module imports, limited to our own scripts.

    Switched on for every file it stumbles over import lines inside the comments of third-party scripts.
    """

    support_js_module_import_aggregation = True

    def url_converter(self, name: str, hashed_files: dict[str, str], template: str | None = None):  # type: ignore[no-untyped-def]
        if name.endswith((".js", ".mjs")) and not name.startswith("js/"):
            return lambda match: match.group(0)
        return super().url_converter(name, hashed_files, template)
