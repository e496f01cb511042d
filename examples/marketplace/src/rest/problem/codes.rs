//! What each code means. `docs/problems.md` is this table.

use std::fmt::Write as _;

/// A code of problems: the code, its status, what it means and what to do.
type Explained = (&'static str, u16, &'static str);

/// All codes, by status.
const CODES: &[Explained] = &[
    (
        "invalid_request",
        400,
        "a part of the request makes no sense: `detail` says which, `errors` points at it",
    ),
    (
        "invalid_query",
        400,
        "the question makes no sense: `errors` says which of its parameters are wrong, and why",
    ),
    ("invalid_description", 400, "the Thing Description is not valid: `validationErrors` says where and why"),
    ("malformed_query", 400, "the query does not follow the syntax of its language"),
    ("query_refused", 400, "the query asks for what is not offered: `detail` says what"),
    ("unknown_scope", 400, "a client is registered with a scope that there is not"),
    ("invalid_json", 400, "the body is not JSON"),
    (
        "invalid_xml",
        400,
        "the body is not XML of the kind that is answered; document type declarations are not taken",
    ),
    ("incomplete_body", 400, "the body did not arrive as a whole: send the request again"),
    ("authentication_required", 401, "sign in"),
    (
        "invalid_token",
        401,
        "the token is unknown, revoked, over, or of somebody who may not sign in any more",
    ),
    ("invalid_credentials", 401, "the name or the password is not accepted"),
    ("insufficient_funds", 402, "the balance does not cover it"),
    ("forbidden", 403, "the permission that `detail` names is missing"),
    (
        "insufficient_scope",
        403,
        "the person may do it, but the program's access token lacks the scope that `detail` and `WWW-Authenticate` name",
    ),
    ("in_person_only", 403, "not for programs that act for a user"),
    (
        "csrf",
        403,
        "a request by cookie says the session's `csrf` in `X-CSRF-Token`, and comes from a page of this site",
    ),
    ("challenge", 403, "who registers does what `GET /challenge` asks, and sends the answer along, once"),
    ("own_product", 403, "members of a hub neither buy nor rate its products"),
    ("nothing_received", 403, "only what was received can be rated"),
    ("invitation_needed", 403, "an account is opened with an invitation here"),
    ("invitation_not_good", 403, "the invitation is unknown, used up, withdrawn or over"),
    ("wrong_password", 403, "the present password is another one"),
    ("reset_not_good", 403, "the leave to set a password was used, replaced or is over: ask for another"),
    ("not_found", 404, "there is no such thing, or none that the caller may know of"),
    ("file_gone", 404, "the file is named here, but its bytes are not kept any more"),
    ("no_such_route", 404, "there is nothing at this address"),
    ("no_such_lease", 404, "there is no such lease"),
    ("method_not_allowed", 405, "the address has other methods: `Allow` lists them"),
    ("not_acceptable", 406, "what `Accept` takes is not to be had"),
    ("timeout", 408, "the body took too long to arrive: send the request again"),
    ("name_taken", 409, "the name is taken"),
    ("wrong_state", 409, "what it is about is in a state that does not allow it"),
    (
        "idempotency_key_reused",
        409,
        "the key was used for another request: take a fresh one for each request",
    ),
    ("outdated", 409, "what it is based on was changed meanwhile: get it again and decide anew"),
    (
        "last_administrator",
        409,
        "an administrator is suspended, or loses the role, by another administrator only",
    ),
    ("last_owner", 409, "a hub has at least one owner"),
    ("too_many_tokens", 409, "there are as many tokens as one user may have: revoke one"),
    (
        "too_many_files",
        409,
        "as many files are kept for the object and its earlier versions as may be: purge those that only old ones have",
    ),
    ("quota_exhausted", 409, "all that was bought has been delivered"),
    ("quota_leased_elsewhere", 409, "another gate delivers what is left"),
    ("grant_not_active", 409, "the access is not active"),
    (
        "precondition_failed",
        412,
        "what `If-Match` asks for does not hold: get the thing again and decide anew",
    ),
    ("body_too_large", 413, "the body is longer than is taken"),
    ("file_too_large", 413, "the file is longer than files may be: `detail` says how long they may be"),
    (
        "unsupported_media_type",
        415,
        "the body is of a kind that is not taken here: `detail` lists those that are",
    ),
    ("wrong_file_type", 415, "the bytes are not what `Content-Type` says"),
    ("unsupported_content_encoding", 415, "bodies are taken as they are, not packed"),
    ("unchangeable", 422, "the patch names a member that never changes: `errors` points at it"),
    ("unprocessable", 422, "the request can be read and makes no sense"),
    ("query_too_slow", 422, "the query took longer than queries may: ask for less"),
    ("query_too_large", 422, "the query took more memory than queries may: ask for less"),
    ("answer_too_large", 422, "the answer is longer than answers may be: ask for less"),
    ("precondition_required", 428, "the request has to say what it depends on, by `If-Match`"),
    ("busy", 429, "too many passwords are being checked or were wrong: try again later"),
    ("too_soon", 429, "the same was asked for a moment ago: try again later"),
    ("samples_used_up", 429, "the sample was looked at as often as its terms allow: come back tomorrow"),
    ("too_many_requests", 429, "too many requests: `Retry-After` says when to try again"),
    ("headers_too_large", 431, "the header fields are longer than is taken"),
    ("bad_request", 400, "the request cannot be read"),
    (
        "internal",
        500,
        "something failed that the client can do nothing about; the log has it under `instance`",
    ),
    ("store_incompatible", 500, "the store holds data of another version"),
    ("store_corrupt", 500, "the store holds what cannot be read"),
    ("store_misconfigured", 500, "the store is set up in a way that cannot work"),
    ("store_unfinished", 500, "the store is being filled"),
    ("store_unsupported", 500, "the store cannot do what was asked of it"),
    ("conflict", 503, "too many others change the same data at the moment: send the request again"),
    (
        "store_unavailable",
        503,
        "the store cannot be reached: send the request again, with its idempotency key",
    ),
    ("store_busy", 503, "the store has too much to do: send the request again"),
    ("unavailable", 503, "what answers such questions does not work at the moment, or not on this server"),
    (
        "too_many_queries",
        503,
        "as many queries are carried out, or streams of events open, as may be at a time: come back later",
    ),
    (
        "overdue",
        503,
        "it took too long; what was begun may be carried out: send it again with its idempotency key",
    ),
];

/// The code and the text for a status that something else than the interface answered with.
pub(super) fn of_status(status: u16) -> Explained {
    let code = match status {
        404 => "no_such_route",
        405 => "method_not_allowed",
        408 => "timeout",
        412 => "precondition_failed",
        413 => "body_too_large",
        415 => "unsupported_media_type",
        422 => "unprocessable",
        428 => "precondition_required",
        429 => "too_many_requests",
        431 => "headers_too_large",
        400..500 => "bad_request",
        503 => "overdue",
        _ => "internal",
    };
    CODES.iter().find(|explained| explained.0 == code).copied().unwrap_or((code, status, "it was not done"))
}

/// What a code means.
pub(super) fn explained(code: &str) -> Option<Explained> {
    CODES.iter().find(|explained| explained.0 == code).copied()
}

/// The table as Markdown.
pub(crate) fn table() -> String {
    let mut text = "# Problems\n\n\
        Every error of the [REST interface](rest.md) is a problem detail (RFC 9457), as `application/problem+json` or, for who \
        wants XML, `application/problem+xml`:\n\n\
        | member | |\n|---|---|\n\
        | `type` | `urn:i3:problem:` and the code |\n\
        | `code` | what is wrong, for programs: stable |\n\
        | `status`, `title` | the status |\n\
        | `detail` | what is wrong this time, for people; may change |\n\
        | `instance` | this very request: `urn:i3:request:` and the number that `X-Request-Id` has too; the log has failures under it |\n\
        | `errors` | what is wrong with parts of the request: `pointer` (RFC 6901) into the body or the `parameter`, and `detail` |\n\n\
        What is wrong with a Thing Description is in `validationErrors`, as WoT Discovery has it: `field` and `description`.\n\n\
        `Retry-After` is there when it is worth to try again. A running server explains each code at `/api/v1/problems/{code}`.\n\n\
        | code | status | |\n|---|---|---|\n"
        .to_owned();
    for (code, status, about) in CODES {
        let _ = writeln!(text, "| `{code}` | {status} | {about} |");
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_code_is_explained_once() {
        let codes: BTreeSet<&str> = CODES.iter().map(|explained| explained.0).collect();
        assert_eq!(codes.len(), CODES.len());
        for status in 400..600 {
            assert!(codes.contains(of_status(status).0), "{status}");
        }
    }
}
