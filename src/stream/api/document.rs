//! The OpenAPI document, made from the handlers and what they answer.

use serde_json::{Value, json};
use utoipa::OpenApi;

/// What a document says beside the routes.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Sluice: administration of Call Log Streams",
        description = "Channels, access tokens, connections and the audit trail. Nothing is ever \
                       deleted: neither channels nor tokens. Times are milliseconds since the Unix \
                       epoch. Every error is a problem document (RFC 9457); a change that has no \
                       answer yet is one of 503, and is asked for again under the same \
                       `Idempotency-Key`.",
        contact(), license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    tags(
        (name = "channels", description = "One for each area at most."),
        (name = "tokens", description = "Whoever holds an enabled one listens to its channel."),
        (name = "connections", description = "The open streams."),
        (name = "audit", description = "Who asked for what, and what became of it."),
        (name = "session", description = "Who asks; sessions of browsers.")
    )
)]
struct Base;

/// The document, indented.
#[must_use]
pub fn text() -> String {
    let (_, routes) = super::described().split_for_parts();
    let mut document = Base::openapi();
    document.merge(routes);
    // Of texts, which can always be written.
    let mut document = serde_json::to_value(&document).unwrap_or_default();
    of_every_operation(&mut document);
    format!("{document:#}\n")
}

/// Adds what is the same everywhere: the problem document, and how to say who asks.
fn of_every_operation(document: &mut Value) {
    let paths = document.get_mut("paths").and_then(Value::as_object_mut);
    let operations = paths.into_iter().flat_map(|paths| paths.values_mut());
    let operations = operations.filter_map(Value::as_object_mut);
    for operation in operations.flat_map(|path| path.values_mut()) {
        if let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) {
            let problem = json!({ "$ref": "#/components/responses/Problem" });
            responses.insert("default".to_owned(), problem);
        }
    }
    let parts = [
        ("/components", "responses", json!({ "Problem": problem() })),
        (
            "/components",
            "securitySchemes",
            json!({
                "token": { "type": "http", "scheme": "bearer",
                           "description": "The administrators' token." },
                "session": { "type": "apiKey", "in": "cookie", "name": "sluice_session",
                             "description": "A browser's session. Changes are taken from our own \
                                             origin only." },
            }),
        ),
        ("", "security", json!([{ "token": [] }, { "session": [] }])),
    ];
    for (place, name, part) in parts {
        if let Some(at) = document.pointer_mut(place).and_then(Value::as_object_mut) {
            at.insert(name.to_owned(), part);
        }
    }
}

fn problem() -> Value {
    json!({
        "description": "What is wrong. 400: the request; 401: who asks is not known; 403: the user \
                        may not, or the change comes from a foreign page; 404: there is no such \
                        thing, or the user may not see it; 409: a rule is against it; 413: the \
                        body is too large; 429: too many wrong tokens came from this address; 503: \
                        the control topic does not answer. With 429 and 503 `Retry-After` says \
                        when to ask again.",
        "headers": { "Retry-After": { "schema": { "type": "integer" }, "description": "Seconds." } },
        "content": { "application/problem+json": { "schema": {
            "type": "object",
            "required": ["type", "title", "status", "detail"],
            "properties": {
                "type": { "type": "string", "description": "`urn:sluice:problem:<kind>`" },
                "title": { "type": "string" },
                "status": { "type": "integer" },
                "detail": { "type": "string" },
            },
        } } },
    })
}
