"""ZIP files: each file within has its own outcome, and no ZIP takes more than its size allows or writes to a path."""

import io
import resource
import stat
import struct
import zipfile

import pytest
from django.core.files.storage import default_storage
from django.core.management import call_command

from diagnostics import batches, closing
from diagnostics.models import Case, Scan
from diagnostics.scans import archives
from diagnostics.scans.access import Role
from diagnostics.scans.series import KeptInstance, Series
from tests.dicom_images import slice_of
from tests.factories import InstitutionFactory, person, phantom


def zipped(*files, method=zipfile.ZIP_DEFLATED):
    """A ZIP of (name, bytes)."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as archive:
        for name, data in files:
            archive.writestr(name, data)
    made.seek(0)
    return made


def encrypted():
    made = zipped(("a.png", phantom(1))).getvalue()
    # The flag of the local header and of the list's entry; the bytes need not be encrypted to be refused.
    made = bytearray(made)
    made[6] |= 1
    at = made.rindex(b"PK\x01\x02")
    made[at + 8] |= 1
    return io.BytesIO(bytes(made))


def link():
    made = io.BytesIO()
    entry = zipfile.ZipInfo("scan.png")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr(entry, "/etc/passwd")
    return made


def damaged():
    made = bytearray(zipped(("a.png", phantom(1)), method=zipfile.ZIP_STORED).getvalue())
    made[200] ^= 0xFF
    return io.BytesIO(bytes(made))


def lying_about_its_size():
    """Says that a file of 80 MB has a hundred bytes."""
    made = bytearray(zipped(("a.dcm", bytes(80 * 1024 * 1024))).getvalue())
    at = made.rindex(b"PK\x01\x02")
    made[at + 24 : at + 28] = struct.pack("<L", 100)
    made[22:26] = struct.pack("<L", 100)
    return io.BytesIO(bytes(made))


def of_files(count):
    return bytearray(zipped(*((f"{n:x}", b"") for n in range(count)), method=zipfile.ZIP_STORED).getvalue())


def saying_that_it_has_one_file():
    made = of_files(archives.MOST_FILES + 1)
    struct.pack_into("<2H", made, len(made) - 14, 1, 1)
    return io.BytesIO(bytes(made))


def hiding_its_list_behind_a_short_one():
    """A ZIP64 of more files than a plain ZIP can have, whose plain record tells of one file in a hundred bytes."""
    made = of_files(0x10000)
    assert bytes(made[-42:-38]) == b"PK\x06\x07"
    struct.pack_into("<2H2L", made, len(made) - 14, 1, 1, 100, 0)
    return io.BytesIO(bytes(made))


REFUSED_FILES = {
    "encrypted": (encrypted, "archive_encrypted"),
    "link": (link, "archive_link"),
    "damaged": (damaged, "archive_damaged"),
    "LZMA": (lambda: zipped(("a.png", phantom(1)), method=zipfile.ZIP_LZMA), "archive_method"),
    "ZIP in a ZIP": (lambda: zipped(("b.zip", zipped(("a.png", phantom(1))).getvalue())), "archive_nested"),
    "one file too large": (lambda: zipped(("a.dcm", bytes(40 * 1024 * 1024))), "too_large"),
    "wrong about its size": (lying_about_its_size, "archive_damaged"),
}
BROKEN = {
    "no ZIP": (lambda: io.BytesIO(b"PK\x03\x04" + bytes(100)), "broken_archive"),
    "cut off": (lambda: io.BytesIO(zipped(("a.png", phantom(1))).getvalue()[:-30]), "broken_archive"),
    "list is elsewhere": (
        lambda: io.BytesIO(zipped(("a", b"x")).getvalue().replace(b"PK\x01\x02", b"PK\x09\x09")),
        "broken_archive",
    ),
    "empty": (lambda: zipped(), "archive_empty"),
    "only what systems put in": (lambda: zipped(("__MACOSX/._a", b"x"), (".DS_Store", b"y")), "archive_empty"),
    "too many files": (lambda: zipped(*((f"{n}", b"") for n in range(archives.MOST_FILES + 1))), "archive_too_large"),
    "more files than it says": (saying_that_it_has_one_file, "archive_too_large"),
    "a long list behind a short one": (hiding_its_list_behind_a_short_one, "archive_too_large"),
}


@pytest.mark.parametrize("kind", REFUSED_FILES)
def test_file_that_cannot_be_had_is_refused_with_its_reason(kind):
    make, code = REFUSED_FILES[kind]
    (member,) = archives.members(make())
    assert (member.code, member.data) == (code, b"") and member.refusal.endswith(".")


@pytest.mark.parametrize("kind", BROKEN)
def test_zip_that_cannot_be_read_is_refused_as_a_whole(kind):
    make, code = BROKEN[kind]
    with pytest.raises(archives.BrokenArchive) as refused:
        list(archives.members(make()))
    assert refused.value.code == code and refused.value.sentence.endswith(".")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("../../etc/passwd", "passwd"), ("/root/a.dcm", "a.dcm"), ("C:\\scans\\a.dcm", "a.dcm"),
        ("series 1/Schädel.dcm", "Schädel.dcm"), ("a\x1b[31m.dcm", "a�[31m.dcm"), ("x" * 500, "x" * 200),
    ],
)  # fmt: skip
def test_name_in_a_zip_is_only_shown(name, shown):
    (member,) = archives.members(zipped((name, b"data")))
    assert (member.name, member.data) == (shown, b"data")


def test_small_zip64_is_read():
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive, archive.open("a", "w", force_zip64=True) as opened:
        opened.write(b"data")
    plain = made.getvalue()
    end = len(plain) - 22
    count, length, offset = struct.unpack_from("<H2L", plain, end + 10)
    large = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, length, offset)
    pointer = struct.pack("<4sLQL", b"PK\x06\x07", 0, end, 1)
    record = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    (member,) = archives.members(io.BytesIO(plain[:end] + large + pointer + record))
    assert member.data == b"data"


def test_files_of_one_name_are_all_read():
    with pytest.warns(UserWarning, match="Duplicate name"):
        made = zipped(("a", b"1"), ("a", b"2"))
    assert [member.data for member in archives.members(made)] == [b"1", b"2"]


def test_zip_that_unpacks_to_far_more_than_its_size_is_ended():
    bomb = zipped(*((f"{n}.dcm", bytes(30 * 1024 * 1024)) for n in range(40)))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = list(archives.members(bomb))
    assert found[-1].code in ("archive_too_large", "too_large")
    allowed = max(archives.ALWAYS_ALLOWED, len(bomb.getvalue()) * archives.MOST_RATIO)
    assert sum(len(member.data) for member in found) <= allowed
    assert len(found) < 40
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300 * 1024


@pytest.fixture
def place():
    return InstitutionFactory()


@pytest.mark.django_db(transaction=True)
def test_zip_of_a_study_is_filed_once_and_its_series_are_closed(place):
    by = person(Role.TECHNOLOGIST, place)
    filed = batches.Filed(institution=place, patient="P-1")
    files = [(f"DICOM/S1/IM{n}", slice_of(n)) for n in range(6)] + [("readme.txt", b"no image"), ("DICOMDIR", b"x")]
    made = zipped(*files)
    first = list(batches.submit_archive(by=by, filed=filed, file=made))
    assert batches.counted(first) == {"stored": 6, "known": 0, "kept": 0, "refused": 1, "unavailable": 0}
    assert [each.name for each in first if each.kind == "refused"] == ["readme.txt"]
    again = list(batches.submit_archive(by=by, filed=filed, file=made))
    assert batches.counted(again)["known"] == 6
    assert Scan.objects.count() == Series.objects.count() == 1 and Scan.objects.get().images.count() == 6
    assert closing.anything_due()
    closing.close_due()
    assert Scan.objects.get().image_count == 6 and Case.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_import_folder_reads_what_lies_in_a_zip(place, tmp_path, capsys):
    (tmp_path / "study.zip").write_bytes(
        zipped(*((f"a/{n}.dcm", slice_of(n)) for n in range(4)), ("x", b"y")).getvalue()
    )
    (tmp_path / "broken.zip").write_bytes(zipped(("a", b"x")).getvalue()[:-10])
    (tmp_path / "single.png").write_bytes(phantom(3))
    call_command("import_folder", str(tmp_path), institution=place.code)
    said = capsys.readouterr()
    assert "5 stored, 0 already here, 2 refused" in said.out
    assert "broken.zip: The ZIP file is damaged" in said.err
    call_command("import_folder", str(tmp_path), institution=place.code)
    assert "0 stored, 5 already here, 2 refused" in capsys.readouterr().out
    assert KeptInstance.objects.count() == 0 and default_storage.exists(Scan.objects.first().original)
