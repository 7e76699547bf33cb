"""A series over the API: one image a request, any order, one scan."""

import io
import random
import zipfile

import pydicom
import pytest
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from diagnostics import closing, pipeline
from diagnostics.cases.models import Case
from diagnostics.disk import StorageFull
from diagnostics.scans.models import Scan
from diagnostics.scans.series import Series
from tests.diagnostics.test_archives import zipped
from tests.dicom_images import CORONAL, frames_of, slice_of, uid
from tests.factories import live_model

from .api_client import V1, assert_problem, bearer, results

pytestmark = pytest.mark.django_db(transaction=True)


HEADER = 48  # bytes before the pixels


@pytest.fixture
def client(north):
    return bearer(north.technologist)


def send(client, data, **fields):
    file = SimpleUploadedFile("image.dcm", data, content_type="application/dicom")
    return client.post(f"{V1}/scans/", {"patient": "P-1", "file": file, **fields}, format="multipart")


def close_all():
    Series.objects.filter(arrival="arriving").update(close_at=timezone.now())
    return closing.close_due()


def test_images_sent_one_a_request_join_one_scan_that_arrives_until_the_series_closes(client):
    live_model()
    order = random.Random(5).sample(range(20), 20)
    answers = [send(client, slice_of(n)) for n in order]
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    scan = answers[-1].json()
    assert (scan["status"], scan["images"], scan["prediction"]) == ("arriving", 20, None)
    assert send(client, slice_of(3)).status_code == 200
    assert close_all() == 1
    scan = client.get(f"{V1}/scans/{scan['id']}/").json()
    assert (scan["status"], scan["images"], scan["note"]) == ("queued", 20, None)
    assert (scan["series"]["plane"], scan["series"]["number"], scan["series"]["arrival"]) == ("axial", 3, "complete")
    assert scan["study"] == {"id": scan["study_id"], "accession": "", "date": "2024-01-02"}


def test_last_image_may_say_that_it_is_the_last(client):
    for n in range(3):
        send(client, slice_of(n))
    send(client, slice_of(3), series_complete=True)
    assert closing.close_due() == 1
    assert Series.objects.get().arrival == "complete"


def test_images_are_listed_in_the_order_of_the_stack_with_what_they_show(client):
    for n in (2, 0, 1):
        scan = send(client, slice_of(n)).json()
    close_all()
    images = client.get(f"{V1}/scans/{scan['id']}/images/").json()
    assert [(each["index"], each["position"]) for each in images] == [(0, 0.0), (1, 5.0), (2, 10.0)]
    shown = set()
    for each in images:
        pixels = client.get(each["links"]["pixels"])
        assert pixels.status_code == 200
        content = b"".join(pixels.streaming_content)
        assert len(content) >= HEADER + each["width"] * each["height"] * 2
        shown.add(content)
        preview = client.get(each["links"]["preview"])
        assert preview.status_code == 200 and b"".join(preview.streaming_content).startswith(b"\x89PNG")
    assert len(shown) == 3
    missing = images[0]["links"]["pixels"].replace("/images/0/", "/images/3/")
    assert client.get(missing).status_code == 404


def test_file_of_a_hundred_and_fifty_frames_is_one_scan(client):
    scan = send(client, frames_of(150, blank=10)).json()
    assert (scan["status"], scan["images"]) == ("arriving", 150)
    close_all()
    images = client.get(f"{V1}/scans/{scan['id']}/images/").json()
    assert [each["index"] for each in images] == [*range(150)]
    pixels = client.get(images[80]["links"]["pixels"])
    assert pixels.status_code == 200 and len(b"".join(pixels.streaming_content)) > HEADER


def test_cases_of_a_patient_are_one_a_stack(client):
    for n in range(4):
        send(client, slice_of(n))
        send(client, slice_of(n, series="second"))
    close_all()
    assert Case.objects.count() == 2
    assert len(results(client, "cases/", patient="P-1")) == 2


def test_report_is_kept_with_its_study_and_the_answer_says_so(client):
    send(client, slice_of(0))
    shot = slice_of(1, series="shots", SOPClassUID="1.2.840.10008.5.1.4.1.1.7")
    first, again = send(client, shot), send(client, shot)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["kind"] == "secondary_capture" and "not analysed" in first.json()["note"]
    assert first.json()["id"] == again.json()["id"]


def test_what_contradicts_is_refused_by_name(client):
    send(client, slice_of(0))
    assert_problem(send(client, slice_of(1), patient="P-2"), 409, "filed_elsewhere")
    assert_problem(send(client, slice_of(0, seed=9)), 409, "same_uid_other_content")
    other = slice_of(2, study="another", SeriesInstanceUID=uid("study", "series"))
    assert_problem(send(client, other), 409, "series_of_another_study")
    assert [scan["images"] for scan in results(client, "scans/")] == [1]


def test_zip_is_taken_file_by_file_and_again_changes_nothing(north):
    client = bearer(north.technologist)
    files = [(f"a/{n}", slice_of(n)) for n in range(5)] + [("notes.txt", b"no image"), ("../up.dcm", slice_of(5))]

    def send():
        made = zipped(*files)
        body = {"file": SimpleUploadedFile("study.zip", made.getvalue()), "patient": "P-1"}
        return client.post(f"{V1}/scans/archive/", body, format="multipart")

    answer = send()
    assert answer.status_code == 200, answer.content
    told = answer.json()
    assert told["counts"] == {"stored": 6, "known": 0, "kept": 0, "refused": 1, "unavailable": 0} and told["complete"]
    refused = next(row for row in told["files"] if row["outcome"] == "refused")
    assert (refused["name"], refused["code"], refused["scan"]) == ("notes.txt", "not_an_image", None)
    assert told["files"][-1]["name"] == "up.dcm"
    assert len({row["scan"] for row in told["files"] if row["scan"]}) == 1
    assert send().json()["counts"]["known"] == 6
    assert Scan.objects.count() == 1


@pytest.mark.parametrize(
    ("data", "code"),
    [(b"PK\x03\x04 cut off", "broken_archive"), (b"", "broken_archive"), (b"GIF89a", "broken_archive")],
)
def test_what_is_no_zip_is_refused_as_one(north, data, code):
    body = {"file": SimpleUploadedFile("study.zip", data), "patient": "P-1"}
    found = assert_problem(bearer(north.technologist).post(f"{V1}/scans/archive/", body, format="multipart"), 400)
    assert found["code"] == code and found["errors"]["file"]


def test_zip_stops_where_there_is_no_room_and_says_that_it_is_incomplete(north, monkeypatch):
    files = [(f"a/{n}", slice_of(n)) for n in range(4)]
    submit, seen = pipeline.submit_scan, []

    def full_at_the_third(**said):
        seen.append(1)
        if len(seen) == 3:
            raise StorageFull
        return submit(**said)

    monkeypatch.setattr(pipeline, "submit_scan", full_at_the_third)
    body = {"file": SimpleUploadedFile("study.zip", zipped(*files).getvalue()), "patient": "P-1"}
    told = bearer(north.technologist).post(f"{V1}/scans/archive/", body, format="multipart").json()
    assert not told["complete"] and told["counts"]["stored"] == 2 and told["counts"]["unavailable"] == 1
    assert told["files"][-1]["code"] == "storage_full"


def told_after(client, *files):
    """The scans of a series of these files once it has closed, by their number of images."""
    for data in files:
        assert send(client, data).status_code == 201
    Series.objects.update(close_at=timezone.now())
    closing.close_due()
    return sorted(results(client, "scans/"), key=lambda row: -row["images"])


def test_text_that_is_drawn_into_images_is_told(client):
    (scan,) = told_after(client, slice_of(0, BurnedInAnnotation="YES"), slice_of(1, BurnedInAnnotation="NO"))
    assert scan["note"] == "The file says that text is drawn into 1 image. It may name the patient."


def test_image_of_another_size_becomes_a_stack_of_its_own(client):
    large, small = told_after(client, *(slice_of(n) for n in range(4)), slice_of(4, side=96))
    assert (large["images"], small["images"]) == (4, 1) and (small["width"], large["width"]) == (96, 64)
    assert "its images differ in size" in large["note"] and "its images differ in size" in small["note"]


def test_image_of_another_orientation_becomes_a_stack_of_its_own(client):
    axial, coronal = told_after(client, *(slice_of(n) for n in range(4)), slice_of(9, orientation=CORONAL))
    assert (axial["images"], coronal["images"]) == (4, 1)
    assert "its images lie in several directions" in axial["note"]


@pytest.mark.parametrize("lacking", ["", None, [0, 0], ["a", "b", "c"]])
def test_image_without_a_position_stands_at_the_end_and_says_so(client, lacking):
    files = [slice_of(n) for n in range(3)] + [without_position(slice_of(3), lacking)]
    (scan,) = told_after(client, *files)
    assert scan["images"] == 4 and "do not say where they lie" in scan["note"]
    images = client.get(f"{V1}/scans/{scan['id']}/images/").json()
    images = images["results"] if isinstance(images, dict) else images
    assert [row["position"] for row in images] == [0.0, 5.0, 10.0, None]


def test_series_without_any_position_is_ordered_by_its_numbers(client):
    files = [without_position(slice_of(n), None) for n in (2, 0, 1)]
    (scan,) = told_after(client, *files)
    assert "their numbers order them" in scan["note"]
    numbers = Scan.objects.get().images.order_by("index").values_list("sop_uid", flat=True)
    assert list(numbers) == [uid("study", "series", "image", n) for n in (2, 1, 0)], "by InstanceNumber 998, 999, 1000"


def without_position(data, instead):
    made = pydicom.dcmread(io.BytesIO(data))
    del made.ImagePositionPatient
    if instead is not None:
        element = pydicom.DataElement(0x00200032, "DS", "", already_converted=True)
        element._value = "\\".join(map(str, instead))
        made.add(element)
    out = io.BytesIO()
    made.save_as(out)
    return out.getvalue()


def test_original_of_a_stack_is_a_zip_of_its_files_in_their_order(client, north):
    files = [slice_of(n) for n in (2, 0, 1)]
    (scan,) = told_after(client, *files)
    page = Client()
    page.force_login(north.technologist)
    for answer in (
        client.get(f"{V1}/scans/{scan['id']}/original/"), page.get(reverse("reading:original", args=[scan["id"]]))
    ):  # fmt: skip
        assert answer["Content-Type"] == "application/zip"
        assert answer["Content-Disposition"] == f'attachment; filename="{scan["id"]}.zip"'
        made = zipfile.ZipFile(io.BytesIO(b"".join(answer.streaming_content)))
        assert made.namelist() == ["0001.dcm", "0002.dcm", "0003.dcm"]
        assert [made.read(name) for name in made.namelist()] == [files[1], files[2], files[0]]


def test_original_of_one_file_with_many_frames_is_that_file(client):
    data = frames_of(5, blank=1)
    (scan,) = told_after(client, data)
    answer = client.get(f"{V1}/scans/{scan['id']}/original/")
    assert answer["Content-Disposition"].endswith('.dcm"') and b"".join(answer.streaming_content) == data


def test_original_of_a_stack_of_which_a_file_is_missing_is_not_found(client):
    (scan,) = told_after(client, *(slice_of(n) for n in range(3)))
    default_storage.delete(Scan.objects.get().images.get(index=1).original)
    assert_problem(client.get(f"{V1}/scans/{scan['id']}/original/"), 404)


def test_stacks_are_compared_by_position_only_where_they_lie_alike(client, north):
    tilted = [1, 0, 0, 0, 0.97, 0.2431]
    made = {"same": {}, "tilted": {"orientation": tilted}, "elsewhere": {"FrameOfReferenceUID": "1.2.3.4"}}
    files = [slice_of(n, series=name, **more) for name, more in made.items() for n in range(3)]
    told_after(client, *[slice_of(n) for n in range(3)], *files)
    page = Client()
    page.force_login(north.radiologist)
    spaces = {
        scan.series.uid: page.get(reverse("reading:stack", args=[scan.pk])).json()["space"]
        for scan in Scan.objects.select_related("series")
    }
    first = spaces[uid("study", "series")]
    assert spaces[uid("study", "same")] == first != ""
    assert first not in (spaces[uid("study", "tilted")], spaces[uid("study", "elsewhere")])
    assert not any(found in "".join(spaces.values()) for found in (uid("study", "frame"), "1.2.3.4"))
