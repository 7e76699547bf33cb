from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "portal.accounts"
    label = "accounts"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from django.contrib.auth.signals import user_logged_in

        from . import freshness, sessions

        # The portal's door and the admin's both lead to Django's own word that somebody signed in.
        user_logged_in.connect(freshness.remember)
        user_logged_in.connect(sessions.begin)
