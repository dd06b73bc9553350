//! What a client gets: what it asks for, within what its token gives (T7).

use std::sync::Arc;

use super::filter::{Filter, Known};
use super::frames::Transport;
use super::project::Projection;
use super::query::{Query, bad};
use super::request::Problem;
use super::select::Selections;
use super::shape::{Asked, Choice, Format, Shape, Shapes};

/// The filter and the fields that a token is held to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fixed {
    pub filter: Option<String>,
    pub fields: Option<Vec<String>>,
}

/// What all listeners choose from; clones share it.
#[derive(Debug, Clone)]
pub struct Offer {
    pub known: Arc<Known>,
    pub shapes: Shapes,
    pub selections: Selections,
}

impl Offer {
    /// How the events go out, and which.
    ///
    /// # Errors
    /// What is asked for is not known, does not go together, or is not within the token's; or
    /// what the token is held to is not known any more, so that nothing can be given.
    pub fn choose(
        &self,
        area: &Arc<str>,
        fixed: &Fixed,
        transport: Transport,
        query: &Query,
    ) -> Result<(Arc<Shape>, Choice), Problem> {
        if query.zstd && transport != Transport::WebSocket {
            return Err(bad("`compression=zstd` is for WebSockets: its messages are binary"));
        }
        if query.format == Format::Ecls && query.fields.is_some() {
            return Err(bad("`format=ecls` has its own fields: it goes without `fields`"));
        }
        let (given, asked) = self.fields(fixed, query)?;
        let filter = self.filter(fixed, query, given.as_ref())?;
        let filter = filter.map(|filter| self.selections.select(area, &filter)).transpose();
        let filter =
            filter.map_err(|full| Problem::new(503, "too-many-filters", full.to_string()))?;
        let shape = self.shapes.of(Asked {
            transport,
            format: query.format,
            batch: query.batch,
            zstd: query.zstd,
            fields: asked.or(given),
        });
        Ok((shape, Choice { filter, one_in: query.one_in }))
    }

    /// What the token gives, and what is asked for of it.
    fn fields(
        &self,
        fixed: &Fixed,
        query: &Query,
    ) -> Result<(Option<Projection>, Option<Projection>), Problem> {
        let list =
            |names: &[String]| Projection::new(names.iter().map(String::as_str), &self.known);
        let given = fixed.fields.as_deref().map(list).transpose().map_err(withdrawn)?;
        let asked = query.fields.as_deref().map(list).transpose();
        let asked = asked.map_err(|error| bad(format!("`fields`: {error}")))?;
        match (&given, &asked) {
            (Some(given), Some(asked)) if !given.includes(asked) => {
                Err(bad("`fields`: the token gives fewer fields than these"))
            }
            _ => Ok((given, asked)),
        }
    }

    /// Both filters hold. What is not given cannot be asked about either: the answer would tell.
    fn filter(
        &self,
        fixed: &Fixed,
        query: &Query,
        of_token: Option<&Projection>,
    ) -> Result<Option<Filter>, Problem> {
        let given = fixed.filter.as_deref().map(|text| Filter::parse(text, &self.known));
        let given = given.transpose().map_err(withdrawn)?;
        let asked = query.filter.as_deref().map(|text| Filter::parse(text, &self.known));
        let asked = asked.transpose().map_err(|error| bad(format!("`filter`: {error}")))?;
        if let (Some(fields), Some(asked)) = (of_token, &asked)
            && let Some(path) = asked.paths().find(|path| !fields.covers(path))
        {
            return Err(bad(format!("`filter`: the token does not give `{}`", path.join("."))));
        }
        let (Some(given), Some(asked)) = (&given, &asked) else { return Ok(asked.or(given)) };
        let both = format!("({}) and ({})", given.text(), asked.text());
        let both = Filter::parse(&both, &self.known);
        both.map(Some).map_err(|error| {
            bad(format!("`filter`, together with the token's own: {}", error.message))
        })
    }
}

/// What a token is held to names fields that no pipeline has any more: nothing is better than too
/// much.
fn withdrawn(error: impl std::fmt::Display) -> Problem {
    let detail = format!("what the token is held to is not known here any more: {error}");
    Problem::new(409, "token-withdrawn", detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::dictionary::Dictionary;

    fn choose(fixed: &Fixed, transport: Transport, query: &str) -> Result<Vec<String>, String> {
        let offer = Offer {
            known: Arc::default(),
            shapes: Shapes::new(Arc::new(Dictionary::built_in().unwrap())),
            selections: Selections::default(),
        };
        let query = Query::read(query).unwrap();
        let chosen = offer.choose(&"a".into(), fixed, transport, &query);
        chosen.map_err(|problem| format!("{} {}", problem.status, problem.detail)).map(
            |(shape, choice)| {
                let fields = shape.asked.fields.as_ref();
                let names = fields.map(|fields| fields.names().collect::<Vec<_>>().join(","));
                vec![names.unwrap_or_default(), choice.filter.map_or("all", |_| "some").to_owned()]
            },
        )
    }

    #[test]
    fn t7_a_token_gives_no_more_than_it_is_held_to() {
        let check = |filter: Option<&str>,
                     fields: &[&str],
                     query: &str,
                     expected: Result<[&str; 2], &str>| {
            let names = || fields.iter().map(|&name| name.to_owned()).collect();
            let fixed = Fixed {
                filter: filter.map(str::to_owned),
                fields: (!fields.is_empty()).then(names),
            };
            let chosen = choose(&fixed, Transport::WebSocket, query);
            match (chosen, expected) {
                (Ok(chosen), Ok(expected)) => assert_eq!(chosen, expected, "{query}"),
                (Err(told), Err(expected)) => assert!(told.contains(expected), "{query}: {told}"),
                (chosen, _) => panic!("{query}: {chosen:?}"),
            }
        };
        check(None, &[], "", Ok(["", "all"]));
        check(None, &["status_code"], "", Ok(["status_code", "all"]));
        // As many as a token can be made with.
        check(None, &["status_code"; 200], "", Ok(["status_code", "all"]));
        check(
            None,
            &["status_code", "billing"],
            "fields=billing.amount",
            Ok(["billing.amount", "all"]),
        );
        check(
            None,
            &["status_code"],
            "fields=client_ip",
            Err("400 `fields`: the token gives fewer"),
        );
        check(
            None,
            &["status_code"],
            "filter=client_ip:10.0.0.1",
            Err("400 `filter`: the token does not give `client_ip`"),
        );
        // What is asked about need not be shown.
        check(
            None,
            &["status_code", "api_name"],
            "fields=status_code&filter=api_name:orders",
            Ok(["status_code", "some"]),
        );
        check(None, &["status_code"], "filter=status_code:200", Ok(["status_code", "some"]));
        check(Some("status_class=5xx"), &["api_name"], "", Ok(["api_name", "some"]));
        check(Some("status_class=5xx"), &[], "filter=status=503", Ok(["", "some"]));
        check(
            Some("status_class=5xx"),
            &[],
            "filter=status_class=4xx",
            Err("together with the token's own"),
        );
        check(
            Some("time_to_serve_request>9"),
            &[],
            "filter=time_to_serve_request<3",
            Err("together with the token's own"),
        );
        check(Some("gone=1"), &[], "", Err("409 what the token is held to"));
        check(None, &["gone"], "", Err("409 what the token is held to"));
        check(None, &[], "filter=statuscode:1", Err("did you mean `status_code`?"));
    }

    #[test]
    fn what_does_not_go_together() {
        let check = |transport, query: &str, expected: &str| {
            let told = choose(&Fixed::default(), transport, query).unwrap_err();
            assert!(told.contains(expected), "{told}");
        };
        check(Transport::Sse, "compression=zstd", "is for WebSockets");
        check(Transport::WebSocket, "format=ecls&fields=api_name", "without `fields`");
    }
}
