//! A policy file and what it includes, read into a [`Policy`] with every complaint about it.

use super::ast::{Assumption, Policy};
use super::build::{self, Line};
use super::statements::{Macros, split};
use crate::diagnostic::{Code, Diagnostic};
use crate::source::{FileId, Loader, Sources, Span};

/// The deepest chain of includes.
const DEEPEST: usize = 16;
/// The most policy files that one policy may include.
const MOST_FILES: usize = 1000;

/// The policy that the file and its includes say, and what is wrong in them. A statement that is wrong is left out.
///
/// Texts of included files are added to `sources`.
pub fn read(sources: &mut Sources, file: FileId, macros: &Macros, loader: &dyn Loader) -> (Policy, Vec<Diagnostic>) {
    let mut reader = Reader {
        sources,
        macros,
        loader,
        files: 0,
        open: Vec::new(),
        policy: Policy::default(),
        diagnostics: Vec::new(),
    };
    reader.file(file);
    (reader.policy, reader.diagnostics)
}

/// The files that a policy's text names by `config`, without reading anything else of it.
#[must_use]
pub fn configs(text: &str) -> Vec<String> {
    text.lines()
        .filter_map(|line| line.trim_start().strip_prefix("config"))
        .filter(|rest| rest.starts_with([' ', '\t', '"']))
        .filter_map(|rest| rest.split('"').nth(1))
        .map(str::to_owned)
        .collect()
}

/// The assumption that a text says, as in `--assume 'anchor "relayd/*" empty'`.
///
/// # Errors
/// The complaint where it is none.
pub fn assumption(sources: &mut Sources, text: &str, macros: &Macros) -> Result<Assumption, Box<Diagnostic>> {
    let file = sources.add("--assume", text);
    let (statements, diagnostics) = split(sources, file, macros);
    if let Some(finding) = diagnostics.into_iter().next() {
        return Err(Box::new(finding));
    }
    match statements.as_slice() {
        [statement] => build::assumption(statement),
        _ => Err(Box::new(Diagnostic::new(Code::Policy, "one assumption at a time"))),
    }
}

struct Reader<'a> {
    sources: &'a mut Sources,
    macros: &'a Macros,
    loader: &'a dyn Loader,
    files: usize,
    /// The names of the files that are being read, the outermost first.
    open: Vec<String>,
    policy: Policy,
    diagnostics: Vec<Diagnostic>,
}

impl Reader<'_> {
    fn file(&mut self, file: FileId) {
        self.open.push(self.sources.file(file).name().to_owned());
        let (statements, diagnostics) = split(self.sources, file, self.macros);
        self.diagnostics.extend(diagnostics);
        for statement in &statements {
            match build::line(statement, &mut self.policy) {
                Ok(Line::Done) => {}
                Ok(Line::Include(path)) => self.include(&path.value, path.span),
                Err(finding) => self.diagnostics.push(*finding),
            }
        }
        self.open.pop();
    }

    fn include(&mut self, path: &str, span: Span) {
        let complaint = |message: String| Diagnostic::new(Code::Policy, message).at(span);
        let name = self.loader.name(path);
        if self.open.contains(&name) {
            self.diagnostics.push(complaint(format!("`{path}` includes itself")));
            return;
        }
        self.files += 1;
        if self.open.len() >= DEEPEST || self.files > MOST_FILES {
            self.diagnostics.push(complaint(format!("`{path}`: too many includes")));
            return;
        }
        let bytes = match self.loader.load(path) {
            Ok(bytes) => bytes,
            Err(why) => {
                let finding = Diagnostic::new(Code::Unreadable, format!("cannot read `{path}`: {why}")).at(span);
                let finding = match name == path {
                    true => finding,
                    false => finding.help(format!(
                        "it is looked for at `{name}`: paths begin in the folder of pf.conf"
                    )),
                };
                self.diagnostics.push(finding);
                return;
            }
        };
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let file = self.sources.add(name, text);
        self.file(file);
    }
}

#[cfg(test)]
mod tests {
    use super::{Diagnostic, Macros, configs, read};
    use crate::policy::ast::{Closed, Demand, Expectation, Fact, Host};
    use crate::source::{MemoryLoader, Sources};

    fn messages(findings: &[Diagnostic]) -> String {
        let lines = findings.iter().map(|finding| format!("{}\n", finding.message));
        lines.collect()
    }

    fn findings(text: &str) -> Vec<Diagnostic> {
        let mut sources = Sources::new();
        let file = sources.add("p", text);
        let loader = MemoryLoader::new().with("loop", "include \"loop\"\n");
        let (_, findings) = read(&mut sources, file, &Macros::new(), &loader);
        findings
    }

    fn complaints(text: &str) -> String {
        messages(&findings(text))
    }

    fn helps(text: &str) -> Vec<String> {
        findings(text)
            .iter()
            .filter_map(|finding| finding.help.clone())
            .collect()
    }

    #[test]
    fn reads_the_example() {
        let text = r#"
            config "pf.conf"
            zone lab on $LAB_IF
            zone printer on $LAB_IF from 192.0.2.40
            zone office on { em2 em3 }
            require "web" inet proto tcp from lab to internet port { http https } nat-to (egress)
            require "ping" inet proto icmp from lab to internet icmp-type echoreq
            allow inet proto udp from { lab ! 10.1/16, <x> } port > 1023 to self port domain
            forbid from lab to office:network
            closed from lab
            assume anchor "relayd/*" empty
            assume anchor "ftp-proxy/*" only inet proto tcp from clients to internet
            assume table <bad> empty
            assume em0 203.0.113.7/24
        "#;
        let mut sources = Sources::new();
        let file = sources.add("p", text);
        let macros = Macros::from([("LAB_IF".to_owned(), "em1".to_owned())]);
        let (policy, findings) = read(&mut sources, file, &macros, &MemoryLoader::new());
        assert_eq!(messages(&findings), "");
        assert_eq!(&*policy.zones[0].interfaces[0].value, "em1");
        assert_eq!(policy.zones[2].interfaces.len(), 2);
        let Demand::Require(web, expectations) = &policy.statements[0].demand else {
            panic!("no require");
        };
        assert_eq!(web.destination.ports.len(), 2);
        assert!(matches!(&expectations[0].value, Expectation::Nat(Some(_))));
        let Demand::Allow(dns) = &policy.statements[2].demand else {
            panic!("no allow");
        };
        let items = &dns.source.hosts.as_ref().unwrap().items;
        assert!(items[1].negated && matches!(&items[2].host, Host::Table(name) if &**name == "x"));
        let Demand::Closed(Closed::From(zones)) = &policy.statements[4].demand else {
            panic!("no closed");
        };
        assert_eq!(&*zones[0].value, "lab");
        assert_eq!(policy.assumptions.len(), 4);
        assert_eq!(
            policy.assumptions[3].fact,
            Fact::Address("em0".into(), "203.0.113.7/24".parse().unwrap())
        );
        assert_eq!(configs(text), ["pf.conf"]);
    }

    #[test]
    fn complains_about_each_fault() {
        let cases = [
            ("pass in on em0\n", "`pass` is a statement of pf.conf, not of a policy"),
            ("lan = \"em0\"\n", "`lan = …` defines a macro, which only pf.conf can"),
            ("require from a to b port 80\n", "port only applies to tcp/udp"),
            ("allow proto tcp from a to b port htpp\n", "unknown port `htpp`"),
            (
                "allow from { ! a } to b\n",
                "only negated hosts: nothing to take them away from",
            ),
            ("zone a on $nope\n", "macro `nope` not defined"),
            ("zone a\n", "syntax error"),
            ("zone any on em0\n", "syntax error"),
            ("zone from on em0\n", "syntax error"),
            ("closed to log\n", "syntax error"),
            (
                "forbid from a to b log\n",
                "only `require` has expectations, `forbid` has none",
            ),
            ("include \"gone\"\n", "cannot read `gone`: no such file"),
            ("include \"loop\"\n", "`loop` includes itself"),
            (
                "allow inet6 proto icmp from a to b\n",
                "proto icmp doesn't match address family inet6",
            ),
        ];
        for (text, complaint) in cases {
            let all = complaints(&format!("closed\n{text}closed\n"));
            assert_eq!(all.lines().count(), 1, "{text}: {all}");
            assert!(all.trim_end().ends_with(complaint), "{text}: {all}");
        }
        for (text, help) in [
            ("requir from a to b\n", "did you mean `require`?"),
            ("require form a to b\n", "did you mean `from`?"),
            ("require from a to b prot 80\n", "did you mean `port`?"),
            ("require from a to b natto em0\n", "did you mean `nat-to`?"),
            (
                "zone none on em0\n",
                "`none` is a word of the language: choose another name",
            ),
        ] {
            assert_eq!(helps(text), [help], "{text}");
        }
        let deep = format!("allow from {}a", "{".repeat(100_000));
        assert!(complaints(&deep).contains("nested more than"));
    }
}
