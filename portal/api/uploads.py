"""What comes with a file or with a ZIP of files, and what is answered of the latter."""

from rest_framework import serializers

from diagnostics.batches import FileOutcome

from .shapes import PriorityWord
from .strict import InputSerializer, PseudonymField


class Filing(InputSerializer):
    """Under whom and what a file is filed."""

    patient = PseudonymField(max_length=64, help_text="Pseudonym, no name: P-0042.")
    institution = serializers.CharField(
        required=False, allow_blank=True, help_text="Code; may be left out by those who belong to one only."
    )
    accession = serializers.CharField(required=False, allow_blank=True, max_length=64)
    study_date = serializers.DateField(required=False)
    priority = PriorityWord(required=False, help_text="`routine` where left out.")


class Upload(Filing):
    """What comes with a file."""

    # Emptiness is the domain's to refuse, with its own code and sentence.
    file = serializers.FileField(allow_empty_file=True, help_text="JPEG, PNG or DICOM; the content decides.")
    series_complete = serializers.BooleanField(
        required=False, help_text="This is the last image of its series: it need not wait for others."
    )


class ArchiveUpload(Filing):
    """What comes with a ZIP; it is said of each of its files."""

    file = serializers.FileField(
        allow_empty_file=True, help_text="A ZIP of JPEG, PNG or DICOM files, at most 5,000 of them."
    )


class FileOutcomeSerializer(serializers.Serializer[FileOutcome]):
    """What became of one file of a ZIP."""

    name = serializers.CharField()
    outcome = serializers.ChoiceField(choices=["stored", "known", "kept", "refused", "unavailable"], source="kind")
    code = serializers.CharField(help_text="Why it was not taken; empty otherwise.")
    detail = serializers.CharField(source="sentence", help_text="The same for a person.")
    scan = serializers.SerializerMethodField()

    def get_scan(self, outcome: FileOutcome) -> str | None:
        return str(outcome.scan.pk) if outcome.scan is not None else None


class ArchiveOutcomeSerializer(serializers.Serializer[object]):
    """What became of a ZIP."""

    counts = serializers.DictField(child=serializers.IntegerField(), help_text="Files by outcome.")
    complete = serializers.BooleanField(help_text="False where it stopped early: send the same ZIP again.")
    files = FileOutcomeSerializer(many=True)
