"""DICOM files: from bytes to one grey image with its true values."""
