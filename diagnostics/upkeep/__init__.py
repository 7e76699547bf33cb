"""Whether what the rows promise lies in the storage, and a copy of both for the day when it does not."""
