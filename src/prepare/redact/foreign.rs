//! What members need that none of the catalogue's fields stands for. Their names may mean something
//! else than those of headers and fields: a rule for secrets holds for them all the same, but they
//! are taken for URLs only where they look like some.

use super::header::Shape;
use super::names;
use super::query::secret_name;
use super::{Content, Handling, Redactor, Rules};

impl Redactor {
    fn rules_of(&self, handling: Handling) -> Option<&Rules> {
        self.rules.get(handling.0)
    }

    /// Whether the secret has a form that no number has: credentials, cookies.
    #[must_use]
    pub(crate) fn has_form(&self, handling: Handling) -> bool {
        let secret = self.rules_of(handling).and_then(|rules| rules.secret);
        secret.is_some_and(|(shape, _)| shape != Shape::Opaque)
    }

    /// Whether the values are queries, whose secrets are found by their names.
    pub(crate) fn is_query(&self, handling: Handling) -> bool {
        self.rules_of(handling).is_some_and(|rules| {
            rules.secret.is_none() && rules.content == Content::Query && rules.paths.is_empty()
        })
    }

    pub(crate) fn is_secret_parameter(&self, name: &str) -> bool {
        secret_name(&self.parameters, name.as_bytes(), true).is_some()
    }

    /// Whether a text may hold what is looked for in it, where its name alone says what it is.
    pub(crate) fn may_hold(&self, handling: Handling, text: &str) -> bool {
        let Some(rules) = self.rules_of(handling) else { return false };
        let only_url = rules.secret.is_none()
            && rules.content == Content::Url
            && rules.paths.is_empty()
            && rules.patterns.is_empty();
        !only_url || looks_like_url(text)
    }

    /// Whether an object of this name tells where an address is, so that its `ip` is one. Only
    /// asked where addresses are private; else no.
    #[must_use]
    #[inline]
    pub(crate) fn is_geo_object(&self, name: &str) -> bool {
        self.geo_ip.is_some() && {
            let letters = names::letters(name);
            letters.ends_with(b"geoip")
                || letters.ends_with(b"geo")
                || self.geo_objects.contains(&letters)
        }
    }

    /// What there is to do for the address in a geo object.
    #[inline]
    pub(crate) fn geo_ip(&self, name: &str, in_geo: bool) -> Option<Handling> {
        let at = self.geo_ip?;
        let (above, last) = match name.rsplit_once('.') {
            Some((above, last)) => (Some(above), last),
            None => (None, name),
        };
        let is_ip = *names::letters(last) == *b"ip";
        let in_geo = in_geo || above.is_some_and(|above| self.is_geo_object(above));
        (is_ip && in_geo).then_some(Handling(at))
    }

    /// Why the values of a field must not be shown as they came.
    pub(crate) fn why_hidden(&self, dotted_name: &str) -> Option<&'static str> {
        let by_name = self.handling(dotted_name).or_else(|| self.member(dotted_name));
        let rules = self.rules_of(by_name.or_else(|| self.geo_ip(dotted_name, false))?)?;
        match rules.content {
            Content::Address | Content::Forwarded if rules.secret.is_none() => {
                Some("is an address, which `addresses.privacy` hides")
            }
            _ => Some("is redacted"),
        }
    }
}

/// A path or a URL with its scheme, or something with a query.
fn looks_like_url(text: &str) -> bool {
    let has_query = || {
        text.split_once('?').is_some_and(|(before, query)| {
            !before.contains(char::is_whitespace) && query.contains(['=', '%'])
        })
    };
    let has_scheme = || {
        text.match_indices(':').any(|(at, _)| {
            let rest = text.get(at + 1..).unwrap_or_default().trim_start_matches('\\');
            rest.starts_with('/')
        })
    };
    text.starts_with('/')
        || has_scheme()
        || has_query()
        || text.contains("%2") && text.contains("%3")
}
