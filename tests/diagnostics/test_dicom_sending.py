"""C-STORE out: a row a file, retried while the peer is away, given up after days, sent again when somebody says so."""

import contextlib
import io
import socket
import subprocess
from datetime import timedelta

import pydicom
import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEG2000Lossless
from pynetdicom import AE, evt
from pynetdicom.sop_class import MRImageStorage

from diagnostics import pipeline, reconciling
from diagnostics.models import AuditEvent, Sending, Study
from diagnostics.peers import outbox, sending
from diagnostics.scans.access import NotAllowed, Role
from tests import processes
from tests.dicom_images import slice_of
from tests.dicom_network import free_port, needs, peer_of
from tests.factories import InstitutionFactory, person

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def quick(settings, monkeypatch):
    settings.DICOM_TIMEOUT_SECONDS = 3.0
    monkeypatch.setattr(pipeline, "nudge", lambda task, *args: True)


@pytest.fixture
def boss():
    return person(Role.ADMINISTRATOR, InstitutionFactory(), is_staff=True)


@pytest.fixture
def place(boss):
    return boss.memberships.get().institution


@pytest.fixture
def study(place, boss):
    for n in range(3):
        pipeline.submit_scan(by=boss, institution=place, data=slice_of(n), patient="P-1")
    return Study.objects.get()


@contextlib.contextmanager
def archive(port, answer=lambda event: 0x0000, syntaxes=(ExplicitVRLittleEndian, ImplicitVRLittleEndian)):
    """An archive that takes MR images, and gives the list of files that it has got."""
    got = []

    def store(event):
        got.append(event.encoded_dataset())
        return answer(event)

    entity = AE("ARCHIVE")
    entity.require_calling_aet = ["OVERREAD"]
    entity.add_supported_context(MRImageStorage, list(syntaxes))
    server = entity.start_server(("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_STORE, store)])
    try:
        yield got
    finally:
        server.shutdown()


def listens(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True


def due_now():
    Sending.objects.update(due_at=timezone.now())


@needs("storescp")
def test_every_file_of_a_study_reaches_storescp(study, boss, place, tmp_path):
    peer = peer_of(place, ae_title="ARCHIVE", host="127.0.0.1", port=free_port())
    assert outbox.send_study(by=boss, study=study, peer=peer) == 3
    command = ["storescp", "-v", "-aet", "ARCHIVE", "-od", str(tmp_path), "+xe", str(peer.port)]
    archive = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        processes.wait(lambda: listens(peer.port), 20, "storescp did not start")
        assert sending.send_due() == 3
    finally:
        archive.terminate()
        archive.communicate(timeout=20)
    assert set(Sending.objects.values_list("state", flat=True)) == {"done"}
    kept = {pydicom.dcmread(path).SOPInstanceUID for path in tmp_path.iterdir()}
    assert kept == {pydicom.dcmread(io.BytesIO(slice_of(n))).SOPInstanceUID for n in range(3)}


def test_files_leave_byte_for_byte_in_their_transfer_syntax(study, boss, place):
    peer = peer_of(place, ae_title="ARCHIVE", host="127.0.0.1", port=free_port())
    outbox.send_study(by=boss, study=study, peer=peer)
    with archive(peer.port) as got:
        assert sending.send_due() == 3
    sent = {pydicom.dcmread(io.BytesIO(each)).PixelData for each in got}
    assert sent == {pydicom.dcmread(io.BytesIO(slice_of(n))).PixelData for n in range(3)}
    assert not reconciling.go_on_with_peers() and sending.send_due() == 0


def test_archive_of_another_uncompressed_syntax_is_sent_that(study, boss, place):
    peer = peer_of(place, ae_title="ARCHIVE", host="127.0.0.1", port=free_port())
    outbox.send_study(by=boss, study=study, peer=peer)
    with archive(peer.port, syntaxes=[ImplicitVRLittleEndian]) as got:
        assert sending.send_due() == 3
    assert pydicom.dcmread(io.BytesIO(got[0])).file_meta.TransferSyntaxUID == ImplicitVRLittleEndian


def test_archive_that_is_away_gets_them_later(study, boss, place):
    peer = peer_of(place, ae_title="ARCHIVE", host="127.0.0.1", port=free_port())
    outbox.send_study(by=boss, study=study, peer=peer)
    assert sending.send_due() == 0
    for row in Sending.objects.all():
        assert (row.state, row.tries, row.attempts) == ("waiting", 1, 0) and "cannot be reached" in row.failure
        assert row.due_at > timezone.now() + timedelta(seconds=20)
    assert sending.send_due() == 0 and Sending.objects.filter(tries=1).count() == 3, "not before it is due"
    due_now()
    with archive(peer.port):
        assert sending.send_due() == 3
    assert set(Sending.objects.values_list("state", "failure")) == {("done", "")}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"answer": lambda event: 0xA700}, "A700"),
        ({"answer": lambda event: 0xC123}, "C123"),
        ({"syntaxes": [JPEG2000Lossless]}, "transfer syntax"),
    ],
)
def test_refusal_of_the_archive_is_told_and_tried_again(study, boss, place, options, words):
    peer = peer_of(place, ae_title="ARCHIVE", host="127.0.0.1", port=free_port())
    outbox.send_study(by=boss, study=study, peer=peer)
    with archive(peer.port, **options):
        assert sending.send_due() == 0
    for row in Sending.objects.all():
        assert row.state == "waiting" and words in row.failure and row.failure.endswith(".")


def test_refused_association_says_so(study, boss, place):
    peer = peer_of(place, ae_title="OTHER", host="127.0.0.1", port=free_port())
    outbox.send_study(by=boss, study=study, peer=peer)
    entity = AE("ARCHIVE")
    entity.require_called_aet = True
    entity.add_supported_context(MRImageStorage)
    server = entity.start_server(("127.0.0.1", peer.port), block=False)
    try:
        assert sending.send_due() == 0
    finally:
        server.shutdown()
    assert "refused the association" in Sending.objects.first().failure


def test_pauses_grow_and_after_days_it_is_given_up(study, boss, place):
    peer = peer_of(place, ae_title="ARCHIVE", host="127.0.0.1", port=free_port())
    outbox.send_study(by=boss, study=study, peer=peer)
    Sending.objects.exclude(pk=Sending.objects.first().pk).delete()
    pauses = []
    for _ in range(10):
        due_now()
        sending.send_due()
        pauses.append((Sending.objects.get().due_at - timezone.now()).total_seconds())
    assert 25 < pauses[0] < 35 and pauses[4] > 300 and max(pauses) <= 4000
    Sending.objects.update(since=timezone.now() - timedelta(days=4))
    due_now()
    sending.send_due()
    assert Sending.objects.get().state == "failed" and "reached" in Sending.objects.get().failure
    due_now()
    assert not reconciling.go_on_with_peers()


def test_administrator_sends_a_dead_one_again_in_the_admin(study, boss, place):
    peer = peer_of(place, ae_title="ARCHIVE", host="127.0.0.1", port=free_port())
    client = Client()
    client.force_login(boss)
    page = client.get(reverse("admin:diagnostics_study_change", args=[study.pk])).content.decode()
    send = reverse("admin:diagnostics_study_send", args=[study.pk])
    assert send in page
    assert client.post(send, {"peer": str(peer.pk)}).status_code == 302
    row = Sending.objects.first()
    Sending.objects.update(state="failed", failure="It was away.")
    again = reverse("admin:diagnostics_sending_again", args=[row.pk])
    assert again in client.get(reverse("admin:diagnostics_sending_change", args=[row.pk])).content.decode()
    assert "It was away." in client.get(again).content.decode()
    assert client.post(again).status_code == 302
    row.refresh_from_db()
    assert (row.state, row.failure, row.tries) == ("waiting", "", 0)
    assert set(AuditEvent.objects.filter(act__in=("study_sent", "sent_again")).values_list("actor", flat=True)) == {
        boss.pk
    }
    with archive(peer.port) as got:
        assert sending.send_due() == 1 and len(got) == 1


def test_stranger_finds_no_study_and_no_sending(study, boss, place):
    peer = peer_of(place, ae_title="ARCHIVE", host="127.0.0.1", port=free_port())
    outbox.send_study(by=boss, study=study, peer=peer)
    stranger = Client()
    stranger.force_login(person(Role.ADMINISTRATOR, InstitutionFactory(), is_staff=True))
    for address in (
        reverse("admin:diagnostics_study_send", args=[study.pk]),
        reverse("admin:diagnostics_sending_again", args=[Sending.objects.first().pk]),
    ):
        assert stranger.get(address).status_code == stranger.post(address).status_code == 404
    with pytest.raises(NotAllowed):
        outbox.send_study(by=person(Role.TECHNOLOGIST, place), study=study, peer=peer)


def test_study_goes_to_no_peer_of_another_institution_and_no_control_anywhere(study, boss, place):
    with pytest.raises(outbox.NotSendable):
        outbox.send_study(by=boss, study=study, peer=peer_of(ae_title="FOREIGN", host="127.0.0.1"))
    peer = peer_of(place, ae_title="ARCHIVE", host="127.0.0.1")
    type(study.patient).objects.update(is_synthetic=True)
    with pytest.raises(outbox.SentByNobody):
        outbox.send_study(by=boss, study=Study.objects.get(), peer=peer)
    assert not Sending.objects.exists()


def test_file_that_is_none_or_is_gone_is_given_up_and_the_others_are_sent(study, boss, place):
    peer = peer_of(place, ae_title="ARCHIVE", host="127.0.0.1", port=free_port())
    outbox.send_study(by=boss, study=study, peer=peer)
    default_storage.save("odd", ContentFile(b"not a DICOM file at all"))
    first, second, _third = Sending.objects.order_by("pk")
    Sending.objects.filter(pk=first.pk).update(original="odd")
    Sending.objects.filter(pk=second.pk).update(original="gone")
    with archive(peer.port) as got:
        assert sending.send_due() == 1 and len(got) == 1
    assert sorted(Sending.objects.values_list("state", flat=True)) == ["done", "failed", "failed"]
    assert {row.failure[:31] for row in Sending.objects.filter(state="failed")} == {"The stored file cannot be sent:"}


def test_peer_that_is_away_keeps_no_other_waiting(study, boss, place):
    away = peer_of(place, ae_title="AWAY", host="127.0.0.1", port=free_port())
    here = peer_of(place, ae_title="ARCHIVE", host="127.0.0.1", port=free_port())
    outbox.send_study(by=boss, study=study, peer=away)
    outbox.send_study(by=boss, study=study, peer=here)
    with archive(here.port) as got:
        assert sending.send_due() == 3 and len(got) == 3
