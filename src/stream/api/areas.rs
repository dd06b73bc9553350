//! Which areas there can be. A channel of one that no pipeline makes would be silent for ever, and
//! could not be deleted.

use crate::config::api_toml::UNASSIGNED;
use crate::config::fault::nearest;
use crate::config::pipeline::PipelineSpec;
use crate::stream::request::Problem;

/// A longer text is not repeated.
const SHOWN_BYTES_MAX: usize = 64;

/// The forms of the areas that the pipelines make.
#[derive(Debug, Clone, Default)]
pub struct Areas {
    /// What stands before the colon.
    prefixes: Vec<String>,
}

impl Areas {
    /// Those of these pipelines.
    pub fn of_pipelines<'a>(specs: impl IntoIterator<Item = &'a PipelineSpec>) -> Self {
        let mut prefixes = Vec::new();
        for source in specs.into_iter().flat_map(|spec| &spec.area_from) {
            if !prefixes.contains(&source.prefix) {
                prefixes.push(source.prefix.clone());
            }
        }
        Self { prefixes }
    }

    /// Whether a pipeline can make an area. A text that can be no area at all is for the control
    /// topic's rules.
    pub(super) fn check(&self, area: &str) -> Result<(), Problem> {
        let (prefix, value) = match area.split_once(':') {
            Some((prefix, value)) => (Some(prefix), value),
            None => (None, area),
        };
        let is_known = prefix.is_some_and(|prefix| self.prefixes.iter().any(|ours| ours == prefix));
        if is_known && !value.is_empty() || area == UNASSIGNED || area.is_empty() {
            return Ok(());
        }
        let shown =
            if area.len() > SHOWN_BYTES_MAX { "of this text" } else { &format!("`{area}`") };
        let mut forms: Vec<_> = self.prefixes.iter().map(|ours| format!("`{ours}:…`")).collect();
        forms.push(format!("`{UNASSIGNED}`"));
        let mut detail = format!("no pipeline makes an area {shown}: it is {}", forms.join(" or "));
        let ours = || self.prefixes.iter().map(String::as_str);
        let meant = match prefix {
            Some(prefix) => nearest(prefix.trim().to_lowercase().as_str(), ours()),
            None => ours().next(),
        };
        let value = value.trim();
        if let Some(meant) = meant.filter(|_| !value.is_empty() && area.len() <= SHOWN_BYTES_MAX) {
            detail.push_str(&format!(" (did you mean `{meant}:{value}`?)"));
        }
        Err(Problem::new(400, "no-such-area", detail))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::pipeline::AreaSource;

    fn check_of(prefixes: &[&str], area: &str, expected: Result<(), &str>) {
        let source = |prefix: &&str| AreaSource { field: "f".into(), prefix: (*prefix).into() };
        let area_from = prefixes.iter().map(source).collect();
        let spec = PipelineSpec { area_from, ..PipelineSpec::new("a") };
        let found = Areas::of_pipelines([&spec, &spec]).check(area).map_err(|told| told.detail);
        assert_eq!(found, expected.map_err(str::to_owned), "{area}");
    }

    #[test]
    fn areas_are_as_the_pipelines_make_them() {
        let check = |area: &str, expected| check_of(&["id", "name"], area, expected);
        check("id:5a1f00", Ok(()));
        check("name:a: b", Ok(()));
        check("unassigned", Ok(()));
        check(
            "5a1f00",
            Err("no pipeline makes an area `5a1f00`: it is `id:…` or `name:…` or `unassigned` \
                 (did you mean `id:5a1f00`?)"),
        );
        check(
            "ID: x",
            Err(
                "no pipeline makes an area `ID: x`: it is `id:…` or `name:…` or `unassigned` (did \
                 you mean `id:x`?)",
            ),
        );
        check(
            "organisation:x",
            Err("no pipeline makes an area `organisation:x`: it is `id:…` or `name:…` or \
                 `unassigned`"),
        );
        check(
            "id:",
            Err("no pipeline makes an area `id:`: it is `id:…` or `name:…` or `unassigned`"),
        );
        check(
            &"x".repeat(65),
            Err("no pipeline makes an area of this text: it is `id:…` or `name:…` or `unassigned`"),
        );
        check_of(&["team"], "team:x", Ok(()));
        check_of(&[], "id:x", Err("no pipeline makes an area `id:x`: it is `unassigned`"));
    }
}
