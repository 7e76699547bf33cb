"""Who may do what at which address: the expected answer of every address to every method from every viewpoint.

Columns after the method: nobody, then the home institution's technologist, radiologist, adjudicator, data manager
and administrator; ``foreign`` for the five same roles of another institution; somebody signed in without any role;
somebody deactivated; a superuser without any membership.

``foreign`` is ``=`` (as the home role: the address belongs to no institution), ``404`` (it does not exist for them),
``403/404`` (403 where the home role gets it too, else 404), or five answers with commas. ``|`` parts answers of which
any is right. The home institution's data manager and administrator are model administrators, those of the other are
not: whoever changes the model that all share must be one. A method that has no line must be refused to everybody.
``(word)`` is the row of ``world.py`` that goes into the address.
"""

API = """
# address                          method nobody tech rad  adj  dm   adm  foreign              norole off super
api:scan-list                      GET    401    200  200  200  200  200  =                    200    401 200
api:scan-list                      POST   401    201  403  403  201  201  =                    403    401 400
api:scan-detail(scan)              GET    401    200  200  200  200  200  404                  404    401 200
api:scan-archive                   POST   401    200  403  403  200  200  =                    403    401 400
api:scan-retry(failed)             POST   401    202  202  202  202  202  404                  404    401 202
api:scan-pixels(scan)              GET    401    200  200  200  200  200  404                  404    401 200
api:scan-preview(scan)             GET    401    200  200  200  200  200  404                  404    401 200
api:scan-images(scan)              GET    401    200  200  200  200  200  404                  404    401 200
api:scan-image-pixels(scan)        GET    401    200  200  200  200  200  404                  404    401 200
api:scan-image-preview(scan)       GET    401    200  200  200  200  200  404                  404    401 200
api:scan-original(scan)            GET    401    200  403  403  200  200  404                  404    401 200
api:prediction-list                GET    401    200  200  200  200  200  =                    200    401 200
api:prediction-detail(prediction)  GET    401    200  200  200  200  200  404                  404    401 200
api:prediction-heatmap(prediction) GET    401    404  404  404  200  200  404                  404    401 200
api:case-list                      GET    401    200  200  200  200  200  =                    200    401 200
api:case-detail(case)              GET    401    200  200  200  200  200  404                  404    401 200
api:case-next                      POST   401    403  200  200  403  403  403,204,403,403,403  403    401 403
api:case-assign                    POST   401    404  404  404  404  404  =                    404    401 404
api:case-claim(case)               POST   401    403  200  403  403  403  404                  404    401 403
api:case-take-over(held)           POST   401    403  200  403  403  403  404                  404    401 403
api:case-release(held)             POST   401    409  204  409  409  409  404                  404    401 409
api:case-renew(held)               POST   401    409  200  409  409  409  404                  404    401 409
api:case-reads(held)               GET    401    200  200  200  200  200  404                  404    401 200
api:case-reads(held)               POST   401    403  201  403  403  403  404                  404    401 403
api:case-annotations(held)         GET    401    200  200  200  200  200  404                  404    401 200
api:case-annotations(held)         POST   401    403  201  409  403  403  404                  404    401 403
api:case-second-opinion(held)      POST   401    403  200  403  403  403  404                  404    401 403
api:case-return-to-reader(settled) POST   401    403  403  200  403  403  404                  404    401 403
api:case-recall(returned)          POST   401    403  403  200  403  403  404                  404    401 403
api:case-thread(returned)          GET    401    200  200  200  200  200  404                  404    401 200
api:case-thread(returned)          POST   401    403  201  403  403  403  404                  404    401 403
api:case-comments(held)            GET    401    200  200  200  200  200  404                  404    401 200
api:case-comments(held)            POST   401    201  201  201  201  201  404                  404    401 201
api:savedview-list                 GET    401    200  200  200  200  200  =                    200    401 200
api:savedview-list                 POST   401    201  201  201  201  201  =                    201    401 201
api:savedview-detail(view)         GET    401    404  200  404  404  404  404                  404    401 404
api:savedview-forget(view)         POST   401    404  204  404  404  404  404                  404    401 404
api:case-report(held)              GET    401    200  200  200  200  200  404                  404    401 200
api:controls                       GET    401    403  200  200  200  200  =                    403    401 200
api:agreement                      GET    401    403  403  200  200  200  =                    403    401 200
api:read-list                      GET    401    200  200  200  200  200  =                    200    401 200
api:read-detail(read)              GET    401    200  200  200  200  200  404                  404    401 200
api:read-amend(read)               POST   401    403  201  403  403  403  404                  404    401 403
api:read-undo(read)                POST   401    403  200|409  403  403  403  404                  404    401 403
api:patient-list                   GET    401    200  200  200  200  200  =                    200    401 200
api:patient-detail(patient)        GET    401    200  200  200  200  200  404                  404    401 200
api:study-list                     GET    401    200  200  200  200  200  =                    200    401 200
api:study-detail(study)            GET    401    200  200  200  200  200  404                  404    401 200
api:institution-list               GET    401    200  200  200  200  200  =                    200    401 200
api:institution-detail(institution) GET   401    200  200  200  200  200  404                  404    401 200
api:user-me                        GET    401    200  200  200  200  200  =                    200    401 200
api:own-habits                     GET    401    200  200  200  200  200  =                    200    401 200
api:own-habits                     POST   401    200  200  200  200  200  =                    200    401 200
api:datasetversion-list            GET    401    403  403  403  200  200  =                    403    401 200
api:datasetversion-list            POST   401    403  403  403  409  409  =                    403    401 409
api:datasetversion-plan            POST   401    403  403  403  200  200  =                    403    401 200
api:datasetversion-settle          POST   401    403  403  403  409  409  =                    403    401 409
api:datasetversion-take-back       POST   401    403  403  403  409  409  =                    403    401 409
api:datasetversion-detail(dataset) GET    401    403  403  403  200  200  403/404              403    401 200
api:datasetversion-manifest(dataset) GET  401    403  403  403  409  409  403/404              403    401 409
api:trainingrun-list               GET    401    403  403  403  200  200  =                    403    401 200
api:trainingrun-list               POST   401    403  403  403  409  409  403,403,403,400,400  403    401 409
api:trainingrun-plan               POST   401    403  403  403  200  200  403,403,403,400,400  403    401 200
api:trainingrun-again(run)         POST   401    403  403  403  409  409  403/404              403    401 409
api:trainingrun-detail(run)        GET    401    403  403  403  200  200  403/404              403    401 200
api:trainingrun-cancel(run)        POST   401    403  403  403  202  202  403/404              403    401 202
api:modelversion-list              GET    401    403  403  403  200  200  =                    403    401 200
api:modelversion-detail(model)     GET    401    403  403  403  200  200  =                    403    401 200
api:modelversion-card(model)       GET    401    403  403  403  200  200  =                    403    401 200
api:modelversion-promote(model)    POST   401    403  403  403  409  409  =                    403    401 409
api:modelversion-challenge(model)  POST   401    403  403  403  409  409  403                  403    401 409
api:modelversion-retire(model)     POST   401    403  403  403  200  200  403                  403    401 200
api:modelversion-gate(model)       GET    401    403  403  403  200  200  =                    403    401 200
api:webhook-list                   GET    401    403  403  403  403  200  =                    403    401 200
api:webhook-list                   POST   401    403  403  403  403  201  =                    403    401 400
api:webhook-detail(hook)           GET    401    403  403  403  403  200  403/404              403    401 200
api:webhook-change(hook)           POST   401    403  403  403  403  200  403/404              403    401 200
api:webhook-rotate-secret(hook)    POST   401    403  403  403  403  200  403/404              403    401 200
api:webhook-test(hook)             POST   401    403  403  403  403  202  403/404              403    401 202
api:webhookdelivery-list           GET    401    403  403  403  403  200  =                    403    401 200
api:webhookdelivery-detail(delivery) GET  401    403  403  403  403  200  403/404              403    401 200
api:webhookdelivery-redeliver(delivery) POST 401 403  403  403  403  202  403/404              403    401 202
api:promotionrequest-list          GET    401    403  403  403  200  200  =                    403    401 200
api:promotionrequest-list          POST   401    403  403  403  409  409  =                    403    401 409
api:promotionrequest-detail(asked) GET    401    403  403  403  200  200  =                    403    401 200
api:promotionrequest-approve(asked) POST  401    403  403  403  403  409  403                  403    401 409
api:promotionrequest-decline(asked) POST  401    403  403  403  403  200  403                  403    401 200
api:promotionrequest-withdraw(asked) POST 401    403  403  403  409  409  =                    403    401 409
api:modelversion-rollback          POST   401    403  403  403  403  409  403                  403    401 409
api:next-labels                    GET    401    403  403  403  200  200  =                    403    401 200
api:monitor                        GET    401    403  403  403  200  200  =                    403    401 200
api:alert-list                     GET    401    403  403  403  200  200  =                    403    401 200
api:alert-detail(alert)            GET    401    403  403  403  200  200  403/404              403    401 200
api:alert-acknowledge(alert)       POST   401    403  403  403  200  200  403/404              403    401 200
api:auditevent-list                GET    401    403  403  403  403  200  =                    403    401 200
api:auditevent-detail(event)       GET    401    403  403  403  403  200  403/404              403    401 200
api:notification-list              GET    401    200  200  200  200  200  =                    200    401 200
api:notification-detail(notification) GET 401    404  200  404  404  404  404                  404    401 404
api:notification-read(notification) POST  401    404  200  404  404  404  404                  404    401 404
api:notification-read-all          POST   401    200  200  200  200  200  =                    200    401 200
api:schema                         GET    200    200  200  200  200  200  =                    200    200 200
api:docs                           GET    200    200  200  200  200  200  =                    200    200 200
"""

PAGES = """
# address                          method nobody tech rad  adj  dm   adm  foreign              norole off super
home                               GET    302    302  302  302  302  302  =                    302    302 302
favicon                            GET    302    302  302  302  302  302  =                    302    302 302
healthz                            GET    200    200  200  200  200  200  =                    200    200 200
metrics                            GET    404    404  404  404  404  404  =                    404    404 404
readyz                             GET    200|503 200|503 200|503 200|503 200|503 200|503 =    200|503 200|503 200|503
accounts:account                   GET    302    200  200  200  200  200  =                    200    302 200
accounts:account                   POST   302    302  302  302  302  302  =                    302    302 302
accounts:sign-in                   GET    200    302  302  302  302  302  =                    302    200 302
accounts:sign-in                   POST   200    302  302  302  302  302  =                    302    200 302
accounts:sign-out                  POST   302    302  302  302  302  302  =                    302    302 302
accounts:session                   GET    302    200  200  200  200  200  =                    200    302 200
accounts:theme                     POST   302    302  302  302  302  302  =                    302    302 302
accounts:password-change           GET    302    200  200  200  200  200  =                    200    302 200
accounts:password-change           POST   302    200  200  200  200  200  =                    200    302 200
accounts:password-reset            GET    200    200  200  200  200  200  =                    200    200 200
accounts:password-reset            POST   302    302  302  302  302  302  =                    302    302 302
accounts:password-reset-sent       GET    200    200  200  200  200  200  =                    200    200 200
accounts:password-reset-confirm    GET    200    200  200  200  200  200  =                    200    200 200
accounts:password-reset-confirm    POST   200    200  200  200  200  200  =                    200    200 200
accounts:notifications             POST   302    302  302  302  302  302  =                    302    302 302
accounts:keys                      GET    302    200  200  200  200  200  =                    200    302 200
accounts:keys                      POST   302    302  302  302  302  302  =                    302    302 302
accounts:after-submitting          POST   302    302  302  302  302  302  =                    302    302 302
accounts:again                     GET    302    200  200  200  200  200  =                    200    302 200
accounts:again                     POST   302    400  400  400  400  400  =                    400    302 400
accounts:address                   GET    302    200  200  200  200  200  =                    200    302 200
accounts:address                   POST   302    400  400  400  400  400  =                    400    302 400
accounts:address-withdraw          POST   302    302  302  302  302  302  =                    302    302 302
accounts:address-confirm           GET    410    410  410  410  410  410  =                    410    410 410
accounts:address-confirm           POST   410    410  410  410  410  410  =                    410    410 410
accounts:session-end(session)      POST   302    404  302  404  404  404  404                  404    302 404
accounts:sessions-end              POST   302    302  302  302  302  302  =                    302    302 302
accounts:token-make                POST   302    201  201  201  201  201  =                    201    302 201
accounts:token-revoke(token)       POST   302    404  302  404  404  404  404                  404    302 404
uploads:list                       GET    302    200  200  200  200  200  =                    403    302 200
uploads:hand-in                    GET    302    200  403  403  200  200  =                    403    302 200
uploads:hand-in                    POST   302    200  403  403  200  200  =                    403    302 400
uploads:scan(scan)                 GET    302    200  200  200  200  200  404                  404    302 200
uploads:complete                   POST   302    204  403  403  204  204  =                    403    302 204
uploads:retry(failed)              POST   302    302  302  302  302  302  404                  404    302 302
worklist:list                      GET    302    403  200  200  200  200  =                    403    302 200
worklist:next                      POST   302    403  302  302  403  403  403,302,403,403,403 403    302 403
worklist:assign                    POST   302    403  403  400  403  403  =                    403    302 403
worklist:save-view                 POST   302    403  302  302  302  302  =                    403    302 302
worklist:forget-view(view)         POST   302    403  302  404  404  404  403,404,404,404,404  403    302 404
worklist:claim(case)               POST   302    403  302  403  403  403  404                  404    302 403
worklist:nobody                    GET    302    403  403  200  403  200  =                    403    302 200
worklist:free(case)                POST   302    403  403  409  403  409  403,403,404,403,404  403    302 409
worklist:finish(case)              POST   302    403  403  409  403  409  403,403,404,403,404  403    302 409
worklist:release(held)             POST   302    403  302  409  409  409  403,404,404,404,404  403    302 409
reading:pixels(scan)               GET    302    200  200  200  200  200  404                  404    302 200
reading:preview(scan)              GET    302    200  200  200  200  200  404                  404    302 200
reading:stack(scan)                GET    302    200  200  200  200  200  404                  404    302 200
reading:image-pixels(scan)         GET    302    200  200  200  200  200  404                  404    302 200
reading:image-preview(scan)        GET    302    200  200  200  200  200  404                  404    302 200
reading:original(scan)             GET    302    200  403  403  200  200  404                  404    302 200
reading:heatmap(prediction)        GET    302    404  404  404  200  200  404                  404    302 200
reading:case(case)                 GET    302    403  200  200  200  200  404                  404    302 200
reading:blind(held)                POST   302    403  302  403  403  403  404                  404    302 403
reading:reveal(held)               POST   302    403  409  403  403  403  404                  404    302 403
reading:final(held)                POST   302    403  409  403  403  403  404                  404    302 403
reading:release(held)              POST   302    403  302  409  409  409  404                  404    302 409
reading:renew(held)                POST   302    403  200  409  409  409  404                  404    302 409
reading:annotations(held)          GET    302    200  200  200  200  200  404                  404    302 200
reading:annotations(held)          POST   302    400  400  400  400  400  404                  404    302 400
reading:claim(case)                POST   302    403  302  403  403  403  404                  404    302 403
reading:take-over(held)            POST   302    403  302  403  403  403  404                  404    302 403
reading:adjudicate(settled)        POST   302    403  403  302  403  403  404                  404    302 403
reading:second-opinion(held)       POST   302    403  200  403  403  403  404                  404    302 403
reading:return(settled)            POST   302    403  403  302  403  403  404                  404    302 403
reading:answer(returned)           POST   302    403  200  403  403  403  404                  404    302 403
reading:comments(held)             GET    302    200  200  200  200  200  404                  404    302 200
reading:comments(held)             POST   302    302  302  302  302  302  404                  404    302 302
reading:people(held)               GET    302    200  200  200  200  200  404                  404    302 200
reading:report(held)               GET    302    200  200  200  200  200  404                  404    302 200
reading:recall(returned)           POST   302    403  403  302  403  403  404                  404    302 403
reading:draft(held)                POST   302    403  200  409  409  409  404                  404    302 409
reading:undo(done)                 POST   302    403  200|409  403  403  403  404                  404    302 403
reading:amend(done)                POST   302    403  302  403  403  403  404                  404    302 403
history:patients                   GET    302    200  200  200  200  200  =                    403    302 200
history:patient(patient)           GET    302    200  200  200  200  200  404                  404    302 200
studies:study(study)               GET    302    200  200  200  200  200  404                  404    302 200
history:compare(patient)           GET    302    302  302  302  302  302  404                  404    302 302
history:my-reads                   GET    302    403  200  200  403  403  =                    403    302 403
history:audit                      GET    302    403  403  403  403  200  =                    403    302 200
webhooks:list                      GET    302    403  403  403  403  200  =                    403    302 200
webhooks:add                       POST   302    403  403  403  403  400  =                    403    302 400
webhooks:webhook(hook)             GET    302    403  403  403  403  200  403/404              403    302 200
webhooks:change(hook)              POST   302    403  403  403  403  302  403/404              403    302 302
webhooks:rotate(hook)              POST   302    403  403  403  403  200  403/404              403    302 200
webhooks:test(hook)                POST   302    403  403  403  403  302  403/404              403    302 302
webhooks:redeliver(delivery)       POST   302    403  403  403  403  302  403/404              403    302 302
notifications:list                 GET    302    200  200  200  200  200  =                    200    302 200
notifications:bell                 GET    302    200  200  200  200  200  =                    200    302 200
notifications:follow(notification) GET    302    404  302  404  404  404  404                  404    302 404
notifications:read(notification)   POST   302    404  302  404  404  404  404                  404    302 404
notifications:read-all             POST   302    302  302  302  302  302  =                    302    302 302
lab:overview                       GET    302    403  403  403  200  200  =                    403    302 200
lab:controls                       GET    302    403  200  200  200  200  =                    403    302 200
lab:agreement                      GET    302    403  403  200  200  200  =                    403    302 200
lab:agreement-cases                GET    302    403  403  200  200  200  =                    403    302 200
lab:next-labels                    GET    302    403  403  403  200  200  =                    403    302 200
lab:monitor                        GET    302    403  403  403  200  200  =                    403    302 200
lab:monitor-cases                  GET    302    403  403  403  200  200  =                    403    302 200
lab:acknowledge(alert)             POST   302    403  403  403  302  302  403/404              403    302 302
lab:conflicts                      GET    302    403  403  403  200  200  =                    403    302 200
lab:settle                         POST   302    403  403  403  302  302  =                    403    302 302
lab:take-back              POST   302    403  403  403  302  302  =                    403    302 302
lab:freeze                         GET    302    403  403  403  200  200  =                    403    302 200
lab:freeze                         POST   302    403  403  403  400  400  =                    403    302 400
lab:plan(plan)                     GET    302    403  403  403  200  404  403,403,403,404,404  403    302 404
lab:plan-again                     POST   302    403  403  403  302  302  =                    403    302 302
lab:dataset(dataset)               GET    302    403  403  403  200  200  403/404              403    302 200
lab:manifest(dataset)              GET    302    403  403  403  302  302  403/404              403    302 302
lab:train(dataset)                 POST   302    403  403  403  400  400  403/404              403    302 400
lab:run(run)                       GET    302    403  403  403  200  200  403/404              403    302 200
lab:again(run)                     POST   302    403  403  403  302  302  403/404              403    302 302
lab:cancel(run)                    POST   302    403  403  403  302  302  403/404              403    302 302
lab:model(model)                   GET    302    403  403  403  200  200  =                    403    302 200
lab:card(model)                    GET    302    403  403  403  200  200  =                    403    302 200
lab:promote(model)                 POST   302    403  403  403  302  302  =                    403    302 302
lab:tested(model)                  GET    302    403  403  403  200  200  =                    403    302 200
lab:challenge(model)               POST   302    403  403  403  302  302  403                  403    302 302
lab:retire(model)                  POST   302    403  403  403  302  302  403                  403    302 302
lab:decide(asked)                  POST   302    403  403  403  403  302  403                  403    302 302
lab:roll-back                      POST   302    403  403  403  403  302  403                  403    302 302
"""

# What goes into an address that no single row names.
ARGUMENTS: dict[str, list[str]] = {
    "accounts:password-reset-confirm": ["MQ", "no-such-token"],
    "accounts:address-confirm": ["no-such-word"],
    "lab:take-back": ["00000000-0000-4000-8000-000000000000"],
}

# What follows the row in an address.
FURTHER: dict[str, list[int]] = {
    "api:scan-image-pixels": [0],
    "api:scan-image-preview": [0],
    "reading:image-pixels": [0],
    "reading:image-preview": [0],
}


def arguments_of(name: str, row: object) -> list[object]:
    """What goes into the address ``name`` for this row of ``world.py``, None where it takes none."""
    return [*ARGUMENTS[name]] if name in ARGUMENTS else [*([row] if row else []), *FURTHER.get(name, [])]


# What a request carries; a word in braces is a row of ``world.py``.
BODIES: dict[str, dict[str, object]] = {
    "api:scan-list": {"patient": "P-7", "file": "phantom"},
    "api:scan-archive": {"patient": "P-7", "file": "archive"},
    "api:case-take-over": {"reason": "The holder has gone home."},
    "api:case-release": {"claim_token": "{claim_token}"},
    "api:case-renew": {"claim_token": "{claim_token}"},
    "api:case-reads": {
        "claim_token": "{claim_token}",
        "stage": "blind",
        "label": "glioma",
        "certainty": "certain",
    },
    "api:case-annotations": {"kind": "length", "points": [[1, 1], [9, 9]]},
    "api:case-second-opinion": {"claim_token": "{claim_token}", "comment": "A cyst?"},
    "api:case-return-to-reader": {"claim_token": "{settling_token}", "reader": "a", "comment": "Look at the falx."},
    "api:case-assign": {"cases": ["00000000-0000-4000-8000-000000000000"], "to": None},
    "api:case-comments": {"text": "Moved during the scan."},
    "reading:comments": {"text": "Moved during the scan."},
    "api:case-recall": {"reason": "It is urgent."},
    "api:case-thread": {"comment": "A vessel."},
    "api:own-habits": {"worklist": {"down": "§"}, "goes_on": False},
    "api:read-amend": {"label": "glioma", "certainty": "certain", "comment": "Seen again."},
    "api:datasetversion-settle": {
        "scans": [
            {"scan": "00000000-0000-4000-8000-000000000000", "label": "glioma"},
            {"scan": "00000000-0000-4000-8000-000000000001", "label": "no_tumour"},
        ],
        "reason": "Seen again.",
    },
    "api:datasetversion-take-back": {"ruling": "00000000-0000-4000-8000-000000000000"},
    "lab:settle": {"scans": "00000000-0000-4000-8000-000000000000=glioma", "reason": "Seen again."},
    "api:savedview-list": {"name": "Mine", "query": "tab=mine"},
    "worklist:finish": {"reason": "Nobody is left."},
    "worklist:save-view": {"name": "Mine", "query": "tab=mine"},
    "api:trainingrun-list": {"dataset_version": "{dataset}"},
    "api:trainingrun-plan": {"dataset_version": "{dataset}"},
    "api:alert-acknowledge": {"note": "A new scanner."},
    "lab:acknowledge": {"note": "A new scanner."},
    "api:modelversion-promote": {"reason": "Better."},
    "webhooks:change": {"url": "https://example.org/", "events": ["case.done"]},
    "api:webhook-list": {"url": "https://example.org/2", "events": ["case.done"]},
    "api:webhook-change": {"active": False},
    "api:promotionrequest-list": {"model_version": "{model}", "reason": "Better."},
    "api:promotionrequest-approve": {"exception": "For the trial."},
    "api:promotionrequest-decline": {"reason": "Too early."},
    "api:modelversion-rollback": {"reason": "Worse on site."},
    "accounts:account": {"first_name": "A", "last_name": "B"},
    "accounts:again": {"password": "wrong"},
    "accounts:address": {"address": "a@example.org", "old_password": "wrong"},
    "accounts:sign-in": {"username": "nobody", "password": "wrong"},
    "accounts:theme": {"theme": "dark"},
    "accounts:password-reset": {"email": "a@example.org"},
    "accounts:keys": {"page": "worklist", "key-down": "§"},
    "accounts:after-submitting": {"auto_advance": "no"},
    "accounts:token-make": {"name": "t", "scopes": ["read"], "days": 7},
    "accounts:notifications": {"in_portal": "assigned", "by_mail": "returned", "digest": "1"},
    "uploads:complete": {"scan": "{scan}"},
    "uploads:hand-in": {"patient": "P-7", "priority": 2, "files": "phantom"},
    "reading:blind": {"claim_token": "{claim_token}", "label": "glioma", "certainty": "certain"},
    "reading:reveal": {"claim_token": "{claim_token}"},
    "reading:final": {"claim_token": "{claim_token}", "label": "glioma", "certainty": "certain"},
    "reading:release": {"claim_token": "{claim_token}"},
    "reading:renew": {"claim_token": "{claim_token}"},
    "reading:take-over": {"why": "The holder has gone home."},
    "reading:adjudicate": {"claim_token": "{settling_token}", "label": "glioma", "certainty": "certain"},
    "reading:second-opinion": {"claim_token": "{claim_token}", "words": "A cyst?"},
    "reading:return": {"claim_token": "{settling_token}", "reader": "a", "words": "Look at the falx."},
    "reading:answer": {"words": "A vessel."},
    "reading:recall": {"why": "It is urgent."},
    "reading:draft": {"claim_token": "{claim_token}", "step": "blind", "label": "glioma"},
    "reading:amend": {"label": "glioma", "certainty": "certain", "comment": "Seen again."},
    "lab:freeze": {"institutions": "home", "lineage": "main", "seed": 0},
    "lab:promote": {"reason": "Better."},
    "lab:decide": {"act": "decline", "exception": "Too early."},
    "lab:roll-back": {"reason": "Worse."},
}
