"""Each act as a sentence, to follow the name of whoever did it: "ada uploaded a scan"."""

from collections.abc import Mapping

from django.utils.translation import gettext_lazy as _

from .models import AuditEvent

# Words in %(…)s come from the event's detail: codes, numbers and ids, never a patient's data.
SENTENCES: dict[str, object] = {
    "scan_stored": _("uploaded a scan"),
    "file_ended": _("uploaded a file whose decoding exceeded the limits"),
    "scan_submitted_again": _("uploaded a scan that was already stored"),
    "dicom_peer_added": _("added the DICOM peer %(ae_title)s"),
    "dicom_peer_changed": _("changed the DICOM peer %(ae_title)s"),
    "study_sent": _("sent the files of a study to a DICOM peer (files: %(files)s)"),
    "sent_again": _("sent a file to a DICOM peer again"),
    "priors_requested": _("requested priors from an archive (studies: %(studies)s)"),
    "webhook_added": _("added a webhook"),
    "webhook_changed": _("changed a webhook"),
    "webhook_secret_rotated": _("rotated the secret of a webhook"),
    "webhook_tested": _("sent a test to a webhook"),
    "webhook_redelivered": _("sent an event to a webhook again"),
    "series_closed": _("put the images of a series in order"),
    "instance_kept": _("kept an object with its study that is not analysed"),
    "file_quarantined": _("put a file into quarantine that contradicts a stored one"),
    "original_sealed": _("stored a de-identified file and sealed its original"),
    "original_opened": _("opened the sealed original of a file (reason: %(reason)s)"),
    "scan_rejected": _("found a scan unreadable (%(code)s)"),
    "renamed": _("renamed one of two names that differed only in case"),
    "patients_merged": _("merged two patients whose pseudonyms differed only in case (scans moved: %(scans)s)"),
    "studies_merged": _("made one study of two whose numbers differed only in case (scans moved: %(scans)s)"),
    "reference_label_given": _("gave a scan the reference label of an imported folder"),
    "prediction_queued": _("queued a scan for model %(model_version)s"),
    "prediction_ready": _("received model %(model_version)s's result for a scan"),
    "prediction_failed": _("failed to analyse a scan (%(code)s)"),
    "prediction_retried": _("requested another analysis of a scan"),
    "case_opened": _("opened a case"),
    "case_claimed": _("claimed a case"),
    "claim_released": _("released a case unread"),
    "claim_ended": _("ended the claim of somebody who can no longer read the case"),
    "case_freed": _("released a case that was reserved for somebody who can no longer read it"),
    "second_read_waived": _("finished a case without a second reader: %(reason)s"),
    "claim_expired": _("ended a claim after idle time"),
    "case_taken_over": _("took a case over: %(reason)s"),
    "second_read_wanted": _("sent a case to a second reader"),
    "readers_disagree": _("sent a case to an adjudicator: its readers disagree"),
    "second_opinion_asked": _("requested a second opinion"),
    "case_assigned": _("assigned a case to a reader"),
    "case_returned": _("returned a case to reader %(reader)s"),
    "case_recalled": _("took a returned case back: %(reason)s"),
    "comment_written": _("commented on a case"),
    "comment_answered": _("answered an adjudicator's comment"),
    "read_recorded": _("recorded a %(kind)s read"),
    "opinion_revealed": _("was shown the AI result after a blind read"),
    "blind_read_undone": _("undid a blind read before the AI result was shown"),
    "read_undone": _("undid a read that they had just submitted"),
    "read_amended": _("amended a read (revision %(revision)s)"),
    "image_marked": _("annotated an image (changes: %(marks)s)"),
    "report_exported": _("downloaded a case's report as a PDF"),
    "image_viewed": _("viewed an image"),
    "original_downloaded": _("downloaded an original file"),
    "heatmap_shown": _("viewed a heat map"),
    "dataset_frozen": _("froze dataset version %(number)s"),
    "dataset_exported": _("downloaded the files of dataset version %(number)s"),
    "conflict_settled": _("excluded the labels of %(n)s scans because near-duplicates contradict them"),
    "conflict_reopened": _("undid a label-conflict decision"),
    "training_queued": _("queued training run %(number)s"),
    "retraining_set": _("turned automatic retraining %(enabled)s (from %(new_labels)s new labels)"),
    "retraining_began": _(
        "froze dataset %(dataset)s and queued training run %(number)s because enough new labels were available"
    ),
    "training_started": _("started training run %(number)s"),
    "training_succeeded": _("finished training run %(number)s with a model"),
    "training_failed": _("ended training run %(number)s without a model"),
    "training_cancelled": _("requested cancellation of training run %(number)s"),
    "training_stopped": _("stopped training run %(number)s"),
    "model_registered": _("registered model version %(number)s"),
    "model_installed": _("promoted the bundled model"),
    "model_promoted": _("promoted a model version"),
    "model_challenged": _("made model version %(number)s the challenger"),
    "model_retired": _("retired model version %(number)s"),
    "model_damaged": _("found damaged files of model version %(number)s (standing in: %(stand_in)s)"),
    "model_whole_again": _("found the files of model version %(number)s intact again"),
    "gate_judged": _("judged model version %(number)s by gate rules %(rules)s: %(verdict)s"),
    "gate_rules_declared": _("declared gate rules %(number)s"),
    "promotion_proposed": _("proposed to promote model version %(number)s"),
    "promotion_declined": _("declined to promote a model version: %(reason)s"),
    "promotion_withdrawn": _("withdrew a proposed promotion"),
    "promotion_expired": _("let a proposed promotion expire"),
    "model_rolled_back": _("rolled back to the previous model version"),
    "alert_raised": _("raised an alert: %(watched)s"),
    "alert_closed": _("closed an alert because its limit is no longer exceeded: %(watched)s"),
    "alert_acknowledged": _("acknowledged an alert: %(watched)s"),
    "alert_rule_set": _("set the limit of %(watched)s to %(limit)s (%(on)s)"),
    "institution_made": _("created the institution %(code)s"),
    "institution_changed": _("changed an institution"),
    "person_added": _("added a person"),
    "person_changed": _("changed a person's account"),
    "role_given": _("assigned the role %(role)s to a person"),
    "model_administrator_made": _("made a person model administrator for all institutions"),
    "model_administrator_ended": _("removed a person as model administrator for all institutions"),
    "role_taken": _("removed the role %(role)s from a person"),
    "notifications_chosen": _("changed their notification settings"),
    "token_made": _("created an API token (%(start)s…) for %(days)s days"),
    "token_revoked": _("revoked an API token (%(start)s…)"),
    "audit_event_adopted": _("added an unlinked audit event to the chain: %(reason)s"),
    "audit_anchored_anew": _("set the audit's anchors aside (%(anchors)s): %(reason)s"),
    "signed_in": _("signed in"),
    "signed_out": _("signed out"),
    "session_over": _("were signed out because their session ended"),
    "sessions_ended": _("ended %(n)s sessions"),
    "sign_in_failed": _("failed sign-in (from %(address)s)"),
    "address_change_asked": _("requested another email address (from %(address)s)"),
    "address_change_withdrawn": _("withdrew a request for another email address"),
    "address_changed": _("changed an email address"),
    "password_set": _("set a person's password"),
    "person_deactivated": _("deactivated an account"),
    "keys_changed": _("changed their shortcuts"),
    "habit_changed": _("changed what happens after submitting"),
    "password_changed": _("changed their password"),
    "password_reset": _("set a new password by an emailed link"),
}


class _Detail(dict[str, object]):
    """An event's detail; a word that an older event lacks is said to be missing, not an error."""

    def __missing__(self, key: str) -> str:
        return "?"


def sentence_of(event: AuditEvent) -> str:
    """What happened, without who and when. An act without a sentence is named by its code."""
    sentence = SENTENCES.get(event.act)
    if sentence is None:
        return event.act.replace("_", " ")
    return str(sentence) % _Detail(_words(event.detail))


def _words(detail: Mapping[str, object]) -> dict[str, object]:
    return {key: str(value).replace("_", " ") if key == "role" else value for key, value in detail.items()}
