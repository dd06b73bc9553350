//! What the streams and their administration are set to.

use super::*;

#[test]
fn origins_are_as_a_browser_writes_them() {
    check(
        "[stream]\nallowed_origins = [\"*\", \"https://A.example:443/x\", \"a.example\"]\n",
        &[],
        &[
            "sluice.toml:2: stream.allowed_origins[1]: `https://A.example:443/x` is no origin of \
             web pages (did you mean `https://a.example`?)",
            "sluice.toml:2: stream.allowed_origins[2]: `a.example` is no origin of web pages (as \
             in `https://console.example.com`)",
        ],
    );
}

#[test]
fn roles_and_proxies() {
    let proxy = "[api.proxy]\naddresses = [\"10.0.0.1\"]\n";
    let roles = |rows: &str| format!("{proxy}[api]\nroles = [\n{rows}]\n");
    check(
        &roles(
            "{ group = \"a\", role = \"administrator\" },\n\
             { group = \"b\", areas = [\"id:b\"] },\n\
             { group = \"c\", role = \"area-administrator\", areas = [\"id:c\"] },\n",
        ),
        &[],
        &[],
    );
    // Nobody is given more than is written, by what is left out.
    check(
        &roles(
            "{ group = \"a\", role = \"administrator\", areas = [\"id:a\"] },\n\
             { group = \"b\" },\n\
             { role = \"administrator\" },\n\
             { group = \"c\", areas = [\"unassigned\"] },\n",
        ),
        &[],
        &[
            "sluice.toml:5: api.roles[0].areas: an `administrator` is one of everything",
            "sluice.toml:6: api.roles[1].areas: names no area",
            "sluice.toml:7: api.roles[2].group: is missing",
            "sluice.toml:8: api.roles[3].areas: `unassigned` is for administrators of everything only",
        ],
    );
    check(
        "[api]\nroles = [{ group = \"a\", role = \"administrator\" }]\n",
        &[],
        &["sluice.toml:2: api.roles: have no effect: `api.proxy.addresses` names no proxy"],
    );
    check(
        "[stream]\nproxies = [\"10.0.0.0/8\", \"10.0.0.0/33\"]\n\
         [api]\npublic_url = \"https://a.example/pages\"\nproxy.user_header = \"a b\"\n",
        &[],
        &[
            "sluice.toml:2: stream.proxies[1]: `10.0.0.0/33` is neither an address nor a network \
             (as in `10.0.0.7` or `10.0.0.0/8`)",
            "sluice.toml:4: api.public_url: is not scheme, host and port (as in \
             `https://sluice.example.com`, without a path)",
            "sluice.toml:5: api.proxy.user_header: `a b` is no name of a header",
        ],
    );
}
