"""The domain in the Django admin: read-mostly, limited to one's institutions; every act calls a service."""
