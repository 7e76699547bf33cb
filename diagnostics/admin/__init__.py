"""The domain in the Django admin: read-mostly, limited to one's institutions; every act calls a service."""

from . import learning, people, reading, registry, retraining, scans

__all__ = ["learning", "people", "reading", "registry", "retraining", "scans"]
