"""Each act as a sentence, to follow the name of whoever did it: "ada handed in a scan"."""

from collections.abc import Mapping

from django.utils.translation import gettext_lazy as _

from .models import AuditEvent

# Words in %(…)s come from the event's detail: codes, numbers and ids, never a patient's data.
SENTENCES: dict[str, object] = {
    "scan_stored": _("handed in a scan"),
    "file_ended": _("handed in a file whose decoding was ended by its limits"),
    "scan_submitted_again": _("handed in a scan that was here already"),
    "scan_rejected": _("found a scan unreadable (%(code)s)"),
    "renamed": _("gave another name to what differed only in upper and lower case"),
    "patients_merged": _("merged two patients whose pseudonyms differed only in case (scans moved: %(scans)s)"),
    "studies_merged": _("made one study of two whose numbers differed only in case (scans moved: %(scans)s)"),
    "reference_label_given": _("gave a scan its reference label from an imported folder"),
    "prediction_queued": _("queued a scan for model %(model_version)s"),
    "prediction_ready": _("had model %(model_version)s's opinion of a scan"),
    "prediction_failed": _("got no opinion of a scan (%(code)s)"),
    "prediction_retried": _("had a scan analysed again"),
    "case_opened": _("opened a case"),
    "case_claimed": _("claimed a case"),
    "claim_released": _("gave a case back unread"),
    "claim_ended": _("ended the claim of somebody who can no longer read the case"),
    "case_freed": _("freed a case that was kept for somebody who can no longer read it"),
    "second_read_waived": _("finished a case without a second reader: %(reason)s"),
    "claim_expired": _("ended a claim that was left idle"),
    "case_taken_over": _("took a case over: %(reason)s"),
    "second_read_wanted": _("sent a case to a second reader"),
    "readers_disagree": _("sent a case to an adjudicator: its readers disagree"),
    "second_opinion_asked": _("asked for a second opinion"),
    "case_assigned": _("dealt a case out to a reader"),
    "case_returned": _("returned a case to reader %(reader)s"),
    "case_recalled": _("took a returned case back: %(reason)s"),
    "comment_written": _("commented on a case"),
    "comment_answered": _("answered an adjudicator's comment"),
    "read_recorded": _("recorded a %(kind)s read"),
    "opinion_revealed": _("was shown the AI's opinion after a blind read"),
    "blind_read_undone": _("undid a blind read before the AI's opinion was shown"),
    "read_undone": _("undid a read that they had just submitted"),
    "read_amended": _("amended a read (revision %(revision)s)"),
    "image_marked": _("marked an image (changes: %(marks)s)"),
    "report_exported": _("took a case's report as a PDF"),
    "image_viewed": _("viewed an image"),
    "original_downloaded": _("downloaded an original file"),
    "heatmap_shown": _("looked at a heat map"),
    "dataset_frozen": _("froze dataset version %(number)s"),
    "dataset_exported": _("took the files of dataset version %(number)s out of the portal"),
    "conflict_settled": _("ruled the labels of %(n)s scans out of datasets, because look-alikes contradict them"),
    "conflict_reopened": _("took back a ruling on contradicting labels"),
    "training_queued": _("queued training run %(number)s"),
    "retraining_set": _("switched retraining by itself %(enabled)s (from %(new_labels)s new labels)"),
    "retraining_began": _("froze dataset %(dataset)s and queued training run %(number)s, as enough new labels waited"),
    "training_started": _("started training run %(number)s"),
    "training_succeeded": _("finished training run %(number)s with a model"),
    "training_failed": _("ended training run %(number)s without a model"),
    "training_cancelled": _("asked to cancel training run %(number)s"),
    "training_stopped": _("stopped training run %(number)s"),
    "model_registered": _("entered model version %(number)s"),
    "model_installed": _("put the model that came with the software into use"),
    "model_promoted": _("promoted a model version"),
    "model_challenged": _("let model version %(number)s score live cases in the shadow"),
    "model_retired": _("put model version %(number)s aside"),
    "model_damaged": _("found the files of model version %(number)s damaged (standing in: %(stand_in)s)"),
    "model_whole_again": _("found the files of model version %(number)s whole again"),
    "gate_judged": _("judged model version %(number)s by gate rules %(rules)s: %(verdict)s"),
    "gate_rules_declared": _("declared gate rules %(number)s"),
    "promotion_proposed": _("proposed to put model version %(number)s into use"),
    "promotion_declined": _("declined to put a model version into use: %(reason)s"),
    "promotion_withdrawn": _("took back a proposed promotion"),
    "promotion_expired": _("let a proposed promotion expire"),
    "model_rolled_back": _("put the former model version back into use"),
    "alert_raised": _("raised an alert: %(watched)s"),
    "alert_closed": _("closed an alert, as its limit is no longer passed: %(watched)s"),
    "alert_acknowledged": _("took on an alert: %(watched)s"),
    "alert_rule_set": _("set the limit of %(watched)s to %(limit)s (%(on)s)"),
    "institution_made": _("made the institution %(code)s"),
    "institution_changed": _("changed an institution"),
    "person_added": _("added a person"),
    "person_changed": _("changed a person's account"),
    "role_given": _("gave a person the role %(role)s"),
    "model_administrator_made": _("made a person model administrator of all institutions"),
    "model_administrator_ended": _("removed a person as model administrator of all institutions"),
    "role_taken": _("took the role %(role)s from a person"),
    "notifications_chosen": _("chose what they are notified of"),
    "token_made": _("made an API token (%(start)s…) for %(days)s days"),
    "token_revoked": _("revoked an API token (%(start)s…)"),
    "audit_event_adopted": _("took an audit event into the chain that was in none: %(reason)s"),
    "audit_anchored_anew": _("put the audit's anchors aside (%(anchors)s): %(reason)s"),
    "signed_in": _("signed in"),
    "signed_out": _("signed out"),
    "session_over": _("were signed out, as their session was over"),
    "sessions_ended": _("ended %(n)s sessions"),
    "sign_in_failed": _("saw a sign-in fail (from %(address)s)"),
    "address_change_asked": _("asked for another mail address (from %(address)s)"),
    "address_change_withdrawn": _("took back a wish for another mail address"),
    "address_changed": _("changed a mail address"),
    "password_set": _("set a person's password"),
    "person_deactivated": _("deactivated a person's account"),
    "keys_changed": _("changed their keys"),
    "habit_changed": _("changed how they go on after submitting"),
    "password_changed": _("changed their password"),
    "password_reset": _("set a new password by the link in a mail"),
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
