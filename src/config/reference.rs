//! The configuration reference, made from the tables of keys: docs/configuration.md.

use std::fmt::Write as _;

use super::environment;
use super::keys::{Key, Kind, PIPELINE, SETTINGS};

/// The whole page as Markdown.
#[must_use]
pub fn page() -> String {
    let mut page = String::from(
        "# Configuration\n\n\
         This page is made from the code (`sluice reference`); a test keeps it current.\n\n\
         `sluice.toml` says where Sluice runs. It is taken from `--config`, else from the file \
         that `SLUICE_CONFIG` names, else from `sluice.toml` in the current folder, else every \
         default holds. What happens to the events stands in `pipelines/<name>/pipeline.toml`.\n\n\
         Each key can be set by the environment variable beside it, which wins over the file; \
         lists are separated by commas, and so are the pairs of a table, as in `a=1,b=2`. A secret `x` is given by `x`, or by `x_file` (variable \
         with `_FILE`), which names a file with it; the file is read again when the secret is \
         refused. Relative paths in a file are relative to its folder, those in a variable to \
         the current folder. `sluice check` names every fault at once.\n\n\
         ## sluice.toml\n",
    );
    keys(&mut page, SETTINGS, environment::PREFIX);
    page.push_str(
        "\n## pipelines/\\<name\\>/pipeline.toml\n\n\
         Changes of a pipeline's file, and of `index.brake.on`, are taken without a restart, \
         except `topics` and `geo`; a faulty change is refused and what runs goes on. In the \
         variables `<NAME>` is the pipeline's name in upper case.\n",
    );
    keys(&mut page, PIPELINE, "SLUICE_PIPELINE_<NAME>_");
    page
}

fn keys(page: &mut String, keys: &[Key], prefix: &str) {
    let mut section = None;
    for key in keys {
        let here = key.path.split_once('.').map(|(table, _)| table);
        if section != Some(here) {
            section = Some(here);
            match here {
                Some(table) => writeln!(page, "\n### [{table}]\n").unwrap_or_default(),
                None => page.push('\n'),
            }
        }
        describe(page, key, prefix);
    }
}

fn describe(page: &mut String, key: &Key, prefix: &str) {
    let default = match key.default {
        "" => "none".to_owned(),
        text => format!("`{text}`"),
    };
    writeln!(
        page,
        "- **`{}`** ({}; default {default}) {}",
        key.path,
        key.kind.describe(),
        key.meaning
    )
    .unwrap_or_default();
    if let Kind::Tables(members) = key.kind {
        for member in members {
            let text =
                format!("  - `{}` ({}) {}", member.path, member.kind.describe(), member.meaning);
            page.push_str(&text);
            page.push('\n');
        }
    } else {
        let name = key.path.replace('.', "_").to_uppercase();
        writeln!(page, "  <br>`{prefix}{name}`").unwrap_or_default();
    }
}
