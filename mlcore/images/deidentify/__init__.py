"""DICOM files without who the patient is: the Basic Profile of PS3.15 Annex E. See docs/adr/0019."""
