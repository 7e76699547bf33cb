"""C-ECHO and C-STORE: known peers alone, the way of every upload, a status and a sentence for each refusal."""

import contextlib
import io
import os
import random
import socket
import threading
import time

import pydicom
import pytest
from django.utils import timezone
from pydicom.uid import DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.sop_class import MRImageStorage, Verification
from structlog.testing import capture_logs

from diagnostics import pipeline
from diagnostics.disk import StorageFull
from diagnostics.models import DicomPeer, Image, KeptInstance, QuarantinedFile, Scan, Series
from diagnostics.scans.models import Identity
from tests.diagnostics.test_registry import at_once
from tests.dicom_images import frames_of, slice_of, uid
from tests.dicom_network import dcmtk, folder_of, listening, needs, peer_of
from tests.factories import InstitutionFactory, live_model

pytestmark = pytest.mark.django_db(transaction=True)
PLAIN = [pydicom.uid.ExplicitVRLittleEndian, ImplicitVRLittleEndian]


@pytest.fixture(autouse=True)
def quick(settings, monkeypatch):
    settings.DICOM_TIMEOUT_SECONDS = 2.0
    settings.DICOM_WAIT_SECONDS = 0.3
    monkeypatch.setattr(pipeline, "nudge", lambda task, *args: True)


@contextlib.contextmanager
def association(port, calling="SCANNER", called="OVERREAD", syntaxes=PLAIN, kinds=(MRImageStorage,)):
    entity = AE(calling)
    for kind in (Verification, *kinds):
        entity.add_requested_context(kind, list(syntaxes))
    made = entity.associate("127.0.0.1", port, ae_title=called)
    try:
        yield made
    finally:
        if made.is_established:
            made.release()


def send(made, data):
    return made.send_c_store(pydicom.dcmread(io.BytesIO(data)))


@needs("echoscu")
def test_echoscu_is_answered_where_it_is_a_peer():
    peer = peer_of()
    with listening() as listener:
        assert dcmtk("echoscu", listener.port).returncode == 0
    peer.refresh_from_db()
    assert timezone.now() - peer.last_heard_at < timezone.timedelta(minutes=1)


@needs("storescu")
@pytest.mark.parametrize("proposed", ["-x=", "-xe", "-xi", "-xb"])
def test_storescu_files_a_series_as_one_scan(tmp_path, proposed):
    live_model()
    peer = peer_of()
    with listening() as listener:
        sent = dcmtk("storescu", listener.port, "+sd", proposed, folder_of(tmp_path, map(slice_of, range(4))))
    assert sent.returncode == 0, sent.stdout
    assert sent.stdout.count("Store Response (Success)") == 4
    scan = Scan.objects.get()
    assert (scan.image_count, scan.source, scan.institution) == (4, "dimse", peer.institution)
    assert scan.uploaded_by == peer.account
    assert Image.objects.values("sop_uid").distinct().count() == 4


def test_end_of_the_association_closes_its_series_soon_and_a_break_does_not(settings):
    peer_of()
    settings.SERIES_QUIET_SECONDS = 600
    with listening() as listener:
        with association(listener.port) as made:
            assert send(made, slice_of(0)).Status == 0
            made.abort()
        time.sleep(0.5)
        assert Series.objects.get().close_at > timezone.now() + timezone.timedelta(seconds=300)
        with association(listener.port) as made:
            assert send(made, slice_of(1)).Status == 0
        time.sleep(0.5)
        assert Series.objects.get().close_at < timezone.now() + timezone.timedelta(
            seconds=settings.DICOM_LINGER_SECONDS
        )


@pytest.mark.parametrize(
    ("fields", "calling", "called"),
    [
        ({}, "STRANGER", "OVERREAD"),
        ({}, "scanner", "OVERREAD"),
        ({}, "SCANNER", "SOMEBODY"),
        ({"addresses": "10.0.0.0/8, 192.168.1.7"}, "SCANNER", "OVERREAD"),
        ({"active": False}, "SCANNER", "OVERREAD"),
        ({"may_send": False}, "SCANNER", "OVERREAD"),
    ],
)
def test_nobody_else_gets_an_association(fields, calling, called):
    peer_of(**fields)
    with listening() as listener, association(listener.port, calling, called) as made:
        assert made.is_rejected
    assert not Scan.objects.exists()


def test_refused_association_is_logged_with_a_sentence():
    with capture_logs() as logs, listening() as listener, association(listener.port, "STRANGER"):
        pass
    (line,) = [line for line in logs if line["event"] == "dicom_association_refused"]
    assert (line["ae_title"], line["address"]) == ("STRANGER", "127.0.0.1") and "administrator" in line["sentence"]


def test_right_that_is_taken_away_ends_at_once():
    peer = peer_of()
    with listening() as listener, association(listener.port) as made:
        assert send(made, slice_of(0)).Status == 0
        peer.account.memberships.all().delete()
        assert send(made, slice_of(1)).Status == 0x0124
        DicomPeer.objects.update(active=False)
        assert send(made, slice_of(2)).Status == 0x0124
    assert Image.objects.count() == 1


def test_each_refusal_has_its_status_and_its_sentence(monkeypatch):
    peer_of()
    with capture_logs() as logs, listening() as listener, association(listener.port) as made:
        assert send(made, slice_of(0)).Status == send(made, slice_of(0)).Status == 0
        contradicting = send(made, slice_of(0, seed=99))
        assert contradicting.Status == 0x0111 and "SOP Instance UID" in contradicting.ErrorComment
        assert QuarantinedFile.objects.count() == 1
        cut_off = send(made, slice_of(1, Rows=4000))
        assert cut_off.Status == 0xC000 and len(cut_off.ErrorComment) > 20
        moved = send(made, slice_of(2, StudyInstanceUID=uid("another study")))
        assert moved.Status == 0xC001, moved

        def full(**_):
            raise StorageFull

        monkeypatch.setattr(pipeline, "submit_scan", full)
        assert send(made, slice_of(3)).Status == 0xA700

        def broken(**_):
            raise RuntimeError("P-SECRET")

        monkeypatch.setattr(pipeline, "submit_scan", broken)
        answer = send(made, slice_of(4))
        assert answer.Status == 0x0110 and "SECRET" not in answer.ErrorComment
        monkeypatch.undo()
        assert send(made, slice_of(5)).Status == 0  # the association has outlived all of them
    assert Image.objects.count() == 2
    refused = [line for line in logs if line["event"] == "dicom_refused"]
    assert [line["status"] for line in refused] == ["0111", "C000", "C001", "A700"]
    assert all(len(line["sentence"]) > 20 for line in refused)


def test_overload_is_told_and_nothing_of_it_is_lost(settings, monkeypatch):
    settings.DICOM_AT_ONCE = 1
    peer_of()
    whole = pipeline.submit_scan

    def slow(**given):
        time.sleep(1)
        return whole(**given)

    monkeypatch.setattr(pipeline, "submit_scan", slow)

    def one(n):
        with association(listener.port) as made:
            return send(made, slice_of(n)).Status

    with listening() as listener:
        answers = at_once(*[lambda n=n: one(n) for n in range(4)])
        assert sorted(set(answers)) == [0x0000, 0xA700], answers
        assert Image.objects.count() == answers.count(0)
        monkeypatch.undo()
        assert [one(n) for n in range(4)] == [0, 0, 0, 0]
    assert Image.objects.count() == 4


def test_more_associations_than_allowed_are_refused_for_the_moment(settings):
    settings.DICOM_ASSOCIATIONS = 2
    peer_of()
    with listening() as listener, contextlib.ExitStack() as stack:
        made = [stack.enter_context(association(listener.port)) for _ in range(3)]
        assert [each.is_established for each in made] == [True, True, False] and made[2].is_rejected


def test_files_are_deidentified_where_the_institution_wants_so(settings):
    settings.IDENTITY_KEY = "k" * 40
    peer_of(InstitutionFactory(identity=Identity.DERIVED))
    with listening() as listener, association(listener.port) as made:
        assert send(made, slice_of(0, PatientName="Doe^Jane", PatientID="4711")).Status == 0
    image = Image.objects.select_related("scan__patient").get()
    from django.core.files.storage import default_storage

    with default_storage.open(image.original) as file:
        assert b"Doe" not in file.read()
    assert "4711" not in image.scan.patient.pseudonym


def test_deflated_and_implicit_files_come_in():
    peer_of()
    for syntax in (DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian):
        with listening() as listener, association(listener.port, syntaxes=[syntax]) as made:
            header = pydicom.dcmread(io.BytesIO(slice_of(0, sop=uid(syntax))))
            header.file_meta.TransferSyntaxUID = syntax
            header["PixelData"].VR = "OW"
            out = io.BytesIO()
            header.save_as(
                out, enforce_file_format=True, implicit_vr=syntax.is_implicit_VR, little_endian=syntax.is_little_endian
            )
            assert made.send_c_store(pydicom.dcmread(io.BytesIO(out.getvalue()))).Status == 0, syntax.name
    assert Image.objects.count() == 2


def test_enhanced_file_of_many_frames_is_one_scan():
    peer_of()
    with listening() as listener, association(listener.port, kinds=(pydicom.uid.EnhancedMRImageStorage,)) as made:
        assert send(made, frames_of(12)).Status == 0
    assert Scan.objects.get().image_count == 12


def test_object_that_is_no_image_is_kept_with_its_study():
    peer_of()
    kind = pydicom.uid.SecondaryCaptureImageStorage
    data = slice_of(0, SOPClassUID=kind)
    header = pydicom.dcmread(io.BytesIO(data))
    header.file_meta.MediaStorageSOPClassUID = kind
    with listening() as listener, association(listener.port, kinds=(kind,)) as made:
        assert made.send_c_store(header).Status == 0
    assert KeptInstance.objects.get().kind == "secondary_capture" and not Scan.objects.exists()


def test_data_set_beyond_the_limit_is_refused_without_being_kept(settings):
    settings.MAX_UPLOAD_BYTES = 1024**2
    peer_of()
    with listening() as listener, association(listener.port) as made:
        answer = send(made, slice_of(0, side=1024))  # 2 MB
        assert answer.Status == 0xC000 and "1 MB" in answer.ErrorComment
        assert send(made, slice_of(1)).Status == 0
    assert Image.objects.count() == 1


# --- hostile peers -------------------------------------------------------------------------------------------


def said_until_closed(port, data, seconds=8):
    """Send bytes and wait for the other side to close; what it said, and whether it closed."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        connection.sendall(data)
        said = b""
        try:
            while piece := connection.recv(4096):
                said += piece
        except ConnectionResetError:
            pass
        except TimeoutError:
            return said, False
        return said, True


@pytest.mark.parametrize(
    "data",
    [
        b"\1\0\xff\xff\xff\xff" + b"\0" * 4096,  # a request for an association of 4 GB
        b"\1\0\0\0\0\x10",  # one that never comes
        b"",  # a connection on which nothing comes
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\4\0\0\0\0\6\0\0\0\2\1\3",  # data before there is an association
        b"\1\0\0\0\0\4\0\1\0\0",  # one that is too short
        bytes(range(256)) * 8,
    ],
)
def test_hostile_bytes_end_their_connection_and_no_other(data):
    peer_of()
    with listening() as listener:
        _said, closed = said_until_closed(listener.port, data)
        assert closed
        with association(listener.port) as made:
            assert send(made, slice_of(0)).Status == 0
    assert Image.objects.count() == 1


def test_slow_sender_is_cut_off_while_others_are_served():
    peer_of()
    with listening() as listener, socket.create_connection(("127.0.0.1", listener.port)) as slow:
        slow.sendall(b"\1\0\0\0\1\0")
        with association(listener.port) as made:
            assert send(made, slice_of(0)).Status == 0
        slow.settimeout(8)
        begun = time.monotonic()
        with contextlib.suppress(OSError):  # a byte from time to time does not keep it open
            while time.monotonic() - begun < 8:
                slow.sendall(b"\0")
                time.sleep(0.2)
        assert time.monotonic() - begun < 7


def test_flood_of_connections_leaves_room_for_nobody_for_ever(settings):
    settings.DICOM_ASSOCIATIONS = 3
    peer_of()
    with listening() as listener:
        held = [socket.create_connection(("127.0.0.1", listener.port)) for _ in range(60)]
        time.sleep(4)  # silent ones are cut off after DICOM_TIMEOUT_SECONDS
        with association(listener.port) as made:
            assert send(made, slice_of(0)).Status == 0
        for each in held:
            each.close()


def test_flood_of_strangers_takes_no_peers_place():
    peer_of(addresses="127.0.0.2")
    with listening() as listener:
        held = [socket.create_connection(("127.0.0.1", listener.port)) for _ in range(60)]
        time.sleep(0.3)
        assert len(listener.entity.active_associations) < 10
        entity = AE("SCANNER")
        entity.add_requested_context(MRImageStorage)
        made = entity.associate("127.0.0.1", listener.port, ae_title="OVERREAD", bind_address=("127.0.0.2", 0))
        assert made.is_established and send(made, slice_of(0)).Status == 0
        made.release()
        for each in held:
            each.close()


def test_connections_that_ask_for_nothing_and_close_leave_at_once(settings):
    settings.DICOM_TIMEOUT_SECONDS = 30.0
    peer_of()
    with listening() as listener:
        for _ in range(20):
            socket.create_connection(("127.0.0.1", listener.port)).close()
        until = time.monotonic() + 5
        while listener.entity.active_associations and time.monotonic() < until:
            time.sleep(0.05)
        assert listener.entity.active_associations == []


def test_listener_that_is_stopped_lets_an_image_finish(monkeypatch):
    peer_of()
    whole = pipeline.submit_scan

    def slow(**given):
        time.sleep(1)
        return whole(**given)

    monkeypatch.setattr(pipeline, "submit_scan", slow)
    with listening() as listener, association(listener.port) as made:
        answers = at_once(lambda: send(made, slice_of(0)).Status, lambda: (time.sleep(0.3), listener.stop(5))[1])
    assert answers[0] == 0 and Image.objects.count() == 1


def recorded(port, data):
    """The bytes that a whole and correct association sends to store one image."""
    sent = bytearray()
    proxy = socket.create_server(("127.0.0.1", 0))

    def pass_on():
        here, _ = proxy.accept()
        with here, socket.create_connection(("127.0.0.1", port)) as there:

            def back():
                with contextlib.suppress(OSError):
                    while piece := there.recv(65536):
                        here.sendall(piece)

            answering = threading.Thread(target=back, daemon=True)
            answering.start()
            with contextlib.suppress(OSError):
                while piece := here.recv(65536):
                    sent.extend(piece)
                    there.sendall(piece)

    passing = threading.Thread(target=pass_on, daemon=True)
    passing.start()
    with association(proxy.getsockname()[1]) as made:
        assert send(made, data).Status == 0
    passing.join(5)
    proxy.close()
    return bytes(sent)


def changed(stream, chance):
    """The stream with some of its bytes changed, cut, doubled or put elsewhere."""
    made = bytearray(stream)
    for _ in range(chance.randint(1, 6)):
        if not made:
            break
        # Most of it is pixels, in which nothing can go wrong: the interesting bytes are at its beginning.
        at = chance.randrange(min(len(made), chance.choice((80, 400, 1200, len(made)))))
        what = chance.randrange(5)
        if what == 0:
            made[at] = chance.randrange(256)
        elif what == 1:
            made[at : at + 4] = chance.choice((b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff"))
        elif what == 2:
            del made[at : at + chance.randint(1, 40)]
        elif what == 3:
            made[at:at] = made[at : at + chance.randint(1, 200)]
        else:
            del made[at + 1 :]
    return bytes(made)


def mutated(tries):
    peer_of()
    chance = random.Random(int(os.environ.get("OVERREAD_TEST_SEED", "7")))
    with listening() as listener:
        stream = recorded(listener.port, slice_of(0, side=32))
        for _ in range(tries):
            with (
                socket.create_connection(("127.0.0.1", listener.port), timeout=5) as connection,
                contextlib.suppress(OSError),
            ):
                connection.sendall(changed(stream, chance))
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65536):
                    pass
        with association(listener.port) as made:
            assert send(made, slice_of(1)).Status == 0
        deadline = time.monotonic() + 10
        while listener.entity.active_associations and time.monotonic() < deadline:
            time.sleep(0.05)
        assert listener.entity.active_associations == [], "an association was left behind"


def test_streams_that_are_changed_end_alone_and_leave_nothing_behind():
    mutated(60)


@pytest.mark.faults
def test_many_streams_that_are_changed_end_alone_and_leave_nothing_behind():
    mutated(1500)


@needs("findscu")
def test_query_is_refused_since_nobody_may_look_into_us_by_dicom():
    peer_of()
    with listening() as listener:
        asked = dcmtk("findscu", listener.port, "-S", "-k", "QueryRetrieveLevel=STUDY", "-k", "PatientID=*")
    assert asked.returncode != 0 and "No Acceptable Presentation Contexts" in asked.stdout, asked.stdout
