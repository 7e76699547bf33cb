"""The domain in the Django admin: read-mostly, limited to one's institutions; every act calls a service."""

from . import learning, monitoring, people, reading, registry, retraining, scans

__all__ = ["learning", "monitoring", "people", "reading", "registry", "retraining", "scans"]
