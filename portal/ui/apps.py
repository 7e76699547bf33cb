from django.apps import AppConfig


class UiConfig(AppConfig):
    name = "portal.ui"
    label = "ui"

    def ready(self) -> None:
        from django.conf import settings

        from portal import checks
        from portal.ui import translations

        translations.compile_new(settings.LOCALE_PATHS[0])
        checks.register_all()
