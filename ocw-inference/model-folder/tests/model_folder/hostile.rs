//! Attacks: what untrusted files can be made of to take time, memory or the process. Each ends early, small, and with a
//! reason.

use crate::header::header;
use assay_model_folder::{
	config::ModelConfig, files, header::MAX_HEADER_BYTES, manifest::ManifestFile, template::Template,
	tokenizer::Tokenizer, Error,
};
use assay_test_fixtures::tokenizer;
use std::{
	fs,
	process::Command,
	time::{Duration, Instant},
};

/// Longest time that one hostile input may take.
const TIME: Duration = Duration::from_secs(1);
/// Most memory that this process may take while it meets them all, in KiB.
const MEMORY_KIB: u64 = 200 << 10;

const STEPS: &str = "more than 1000000 steps";
const DEPTH: &str = "nests or recurses more than 100 deep";
const TAG: &str = "a tag of more than 512 tokens";

/// Templates that want too much, and the reason that each is given.
fn templates() -> Vec<(&'static str, String, &'static str)> {
	let forever = |body: &str| format!("{{% for i in range(10000) %}}{body}{{% endfor %}}");
	let growing = |first: &str, step: &str| {
		format!("{{% set ns = namespace(x={first}) %}}{{% for i in range(10000) %}}{{% set ns.x = {step} %}}{{% endfor %}}{{{{ ns.x|length }}}}")
	};
	vec![
		("loops in loops", forever(&forever(&forever(""))), STEPS),
		("a text doubled by `~`", growing("'x' * 999", "ns.x ~ ns.x"), STEPS),
		("a text doubled by `+`", growing("'x'", "ns.x + ns.x"), STEPS),
		("a text multiplied", growing("'x'", "ns.x * 2"), STEPS),
		("a text of 10⁹", "{{ 'x' * 10000000000 }}".into(), STEPS),
		("constants folded", "{{ ('x' * 99999999 ~ 'x' * 99999999) * 99999999 }}".into(), STEPS),
		("a text doubled by a block", growing("'x'", "ns.x").replace("{% set ns.x = ns.x %}", "{% set y %}{{ ns.x }}{{ ns.x }}{% endset %}{% set ns.x = y %}"), STEPS),
		("a text doubled by a macro", format!("{{% macro d(s) %}}{{{{ s }}}}{{{{ s }}}}{{% endmacro %}}{}", growing("'x'", "d(ns.x)")), STEPS),
		("a text doubled by a filter", growing("'x'", "ns.x.replace('x', 'xx')"), STEPS),
		("a text of separators", "{{ range(10000)|join('x' * 100000)|length }}".into(), STEPS),
		("a text escaped", format!("{{% set x = '\u{1}' * 100000 %}}{}", forever("{% set y = x|tojson %}")), STEPS),
		("a block of raw text", format!("{{% set x %}}{}{{% endset %}}", forever(&"x".repeat(60_000))), STEPS),
		("a macro of raw text", format!("{{% macro m() %}}{}{{% endmacro %}}{{{{ m()|length }}}}", forever(&"x".repeat(60_000))), STEPS),
		("a prompt too long", forever("{{ messages[0].content }}"), "writes more than 131072 bytes"),
		("a list doubled", growing("[1]", "ns.x + ns.x"), STEPS),
		("a list that grows", growing("[1]", "ns.x + [ns.x|length]"), STEPS),
		("a list of pieces", forever("{% set y = ('a,' * 10000).split(',') %}"), STEPS),
		("a list of characters", forever("{% set y = ('a' * 10000)|list|reverse %}"), STEPS),
		("a list in a list", growing("[]", "[ns.x]"), "nests more than 32 deep"),
		("a list of twins", growing("[]", "[ns.x, ns.x]"), "nests more than 32 deep"),
		(
			"twins compared",
			format!(
				"{{% set a = namespace(x=[]) %}}{{% set b = namespace(x=[]) %}}{{% for i in range(14) %}}{{% set a.x = [a.x, a.x] %}}{{% set b.x = \
				 [b.x, b.x] %}}{{% endfor %}}{}",
				forever("{{ a.x == b.x }}")
			),
			STEPS,
		),
		(
			"twins written",
			format!(
				"{{% set a = namespace(x=[]) %}}{{% for i in range(15) %}}{{% set a.x = [a.x, a.x] %}}{{% endfor %}}{}",
				forever("{% set y = a.x|tojson %}")
			),
			STEPS,
		),
		("a map of maps", growing("{}", "{'a': ns.x}"), "nests more than 32 deep"),
		("namespaces in circles", format!(
				"{{% set ns = namespace(x=1) %}}{}",
				forever(&forever("{% set ns.x = namespace(all=[ns, ns.x]) %}"))
			), STEPS),
		("a circle written", "{% set ns = namespace() %}{% set ns.x = [ns] %}{{ ns.x|tojson }}".into(), "a namespace has no JSON"),
		("a circle compared", format!("{{% set ns = namespace() %}}{{% set ns.x = [ns] %}}{}", forever(&forever("{% set y = ns.x == [ns] %}"))), STEPS),
		("sorted for ever", format!("{{% set l = ('ab' * 9000)|list %}}{}", forever(&forever("{% set y = l|sort|min %}"))), STEPS),
		("a long attribute", format!("{{% set t = 'a.' * 90000 %}}{}", forever("{{ [1]|map(attribute=t)|list }}")), "at most 256"),
		("a long key", format!("{{% set t = 'a' * 400000 %}}{{% set m = {{}} %}}{}", forever(&forever("{% set y = m[t] %}"))), STEPS),
		("deep margins", forever(&forever("{% set y = ('\\n' * 900)|indent(1000, blank=true) %}")), STEPS),
		("wide margins of JSON", forever(&forever("{% set y = [[[[1]]]]|tojson(indent=90000) %}")), STEPS),
		("numbers without end", "{{ range(1000000000000)|length }}".into(), "`range` counts 10000 numbers at most"),
		("numbers from the other end", "{{ range(0, -9223372036854775807, -1)|length }}".into(), "`range` counts 10000"),
		("a number too large", growing("2", "ns.x * ns.x"), "a number leaves 64 bits"),
		("a macro that calls itself", "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}".into(), DEPTH),
		("macros that call each other", "{% macro a() %}{{ b() }}{{ b() }}{% endmacro %}{% macro b() %}{{ a() }}{{ a() }}{% endmacro %}{{ a() }}".into(), DEPTH),
		(
			"a macro that forks",
			"{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(19) }}".into(),
			STEPS,
		),
		("a needle in a haystack", format!("{{% set n = 'a' * 5000 ~ 'b' %}}{{% set h = 'a' * 10000 %}}{}", forever("{{ n in h }}")), STEPS),
		("characters to strip", "{{ ('a' * 30000).strip('b' * 30000) }}".into(), STEPS),
		("items of items", forever("{% for c in 'x' * 9000 %}{% for d in 'x' * 9000 %}{% endfor %}{% endfor %}"), STEPS),
		("selections", format!("{{% set l = range(9999)|list %}}{}", forever("{{ l|select('in', l)|list|length }}")), STEPS),
		("minus minus", format!("{{{{ {}1 }}}}", "- ".repeat(30_000)), TAG),
		("not not", format!("{{{{ {}1 }}}}", "not ".repeat(15_000)), TAG),
		("sums", format!("{{{{ 1{} }}}}", "+1".repeat(30_000)), TAG),
		("either or", format!("{{{{ {}1 }}}}", "1 if 0 else ".repeat(5_000)), TAG),
		("filter after filter", format!("{{{{ ''{} }}}}", "|trim".repeat(10_000)), TAG),
		("attribute after attribute", format!("{{{{ a{} }}}}", ".b".repeat(30_000)), TAG),
		("call after call", format!("{{{{ a{} }}}}", "()".repeat(30_000)), TAG),
		("sums below the limit", format!("{{{{ 1{} }}}}", "+1".repeat(250)), DEPTH),
		("minus below the limit", format!("{{{{ {}1 }}}}", "- ".repeat(500)), DEPTH),
		("parentheses", format!("{{{{ {}1{} }}}}", "(".repeat(250), ")".repeat(250)), "recursion limits"),
		("lists of lists", format!("{{{{ {}{} }}}}", "[".repeat(250), "]".repeat(250)), "recursion limits"),
		("if in if", format!("{}{}", "{% if 1 %}".repeat(3_000), "{% endif %}".repeat(3_000)), "recursion limits"),
		("with in with", format!("{}{}", "{% with %}".repeat(140), "{% endwith %}".repeat(140)), DEPTH),
		("otherwise if", format!("{{% if 0 %}}{}{{% endif %}}", "{% elif 0 %}".repeat(5_000)), "more than 200 `elif`"),
		("otherwise if, below the limit", format!("{{% if 0 %}}{}{{% endif %}}", "{% elif 0 %}".repeat(199)), DEPTH),
		("a long name", format!("{{{{ {} }}}}", "x".repeat(60_000)), "a name of 60000 bytes"),
		("a template too long", " ".repeat(65_537), "65537 bytes; at most 65536"),
		("a file", "{% include '/etc/passwd' %}".into(), "unknown statement include"),
		("another file", "{% from '/etc/passwd' import x %}".into(), "unknown statement from"),
		("a clock", "{{ now() }}{{ strftime_now('%s') }}".into(), "`now` can't be called"),
		("something inside Python", "{{ ''.__class__.__mro__ }}".into(), "`__mro__` is asked of something undefined"),
	]
}

/// Runs in a process of its own, so that the memory it takes is only its own; says what it took.
#[test]
#[ignore = "run by the_worst_templates_end_in_time_and_space, in a process of its own"]
fn the_worst_templates() {
	let message = "x".repeat(8 << 10);
	let mut slowest = (Duration::ZERO, "");
	for (name, source, why) in templates() {
		let begun = Instant::now();
		let error = Template::parse(source.as_bytes()).and_then(|t| t.render(&message));
		let took = begun.elapsed();
		let error = error.map(|text| text.len()).expect_err(name);
		assert!(
			matches!(error, Error::Template(_)) && error.to_string().contains(why),
			"{name}: {error}"
		);
		assert!(took < TIME, "{name} took {took:?}");
		slowest = slowest.max((took, name));
	}
	println!("slowest: {:?}, {}", slowest.0, slowest.1);
	println!("peak KiB: {}", peak_kib());
}

fn peak_kib() -> u64 {
	let status = fs::read_to_string("/proc/self/status").unwrap();
	let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
	line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Runs an ignored test of this file in a process of its own and returns the memory that process took at most.
fn peak_of(test: &str) -> u64 {
	let child = Command::new(std::env::current_exe().unwrap())
		.args(["--exact", &format!("hostile::{test}"), "--ignored", "--nocapture"])
		.output()
		.unwrap();
	let (said, cried) = (
		String::from_utf8_lossy(&child.stdout),
		String::from_utf8_lossy(&child.stderr),
	);
	assert!(
		child.status.success(),
		"{test} ended with {}:\n{said}{cried}",
		child.status
	);
	println!("{said}");
	let peak = said.lines().find_map(|line| line.strip_prefix("peak KiB: "));
	peak.unwrap_or_else(|| panic!("{test} did not run:\n{said}"))
		.parse()
		.unwrap()
}

#[test]
fn the_worst_templates_end_in_time_and_space() {
	let peak = peak_of("the_worst_templates");
	assert!(peak < MEMORY_KIB, "{peak} KiB");
}

/// Headers, manifests, configurations and tokenizers as large as they may be, made of what takes most memory.
#[test]
#[ignore = "run by the_largest_files_are_refused_in_space, in a process of its own"]
fn the_largest_files() {
	let fill = |begin: &str, again: &str, end: &str, bytes: u64| {
		let times = (bytes as usize - begin.len() - end.len()) / again.len();
		format!("{begin}{}{end}", again.repeat(times))
	};
	let largest = MAX_HEADER_BYTES;
	let dims = fill(r#"{"a":{"dtype":"I8","shape":[1"#, ",1", "]}}", largest);
	let notes: String = (0..600_000).map(|i| format!(r#""{i}":"","#)).collect();
	let notes = format!(r#"{{"__metadata__":{{{notes}"x":""}}}}"#);
	let deep = fill(r#"{"a":"#, "[", "", largest);
	let name = format!(r#"{{"{}":1}}"#, "x".repeat(largest as usize - 6));
	for (json, why) in [
		(dims, "more than 8 dimensions"),
		(deep, "invalid type: sequence"),
		(name, "a name of 8388602 bytes"),
	] {
		let error = header(&json, 0).unwrap_err().to_string();
		assert!(error.contains(why), "{error:.200}");
		assert!(error.len() < 1_000);
	}
	assert!(header(&notes, 0).unwrap().tensors.is_empty(), "notes are read over");

	for (limits, read) in [
		(
			files::CONFIG_LIMITS,
			(|json| ModelConfig::parse(json).err()) as fn(&[u8]) -> Option<Error>,
		),
		(files::MANIFEST_LIMITS, |json| ManifestFile::parse(json).err()),
	] {
		for (json, why) in [
			(fill("[1", ",1", "]", limits.bytes), "values"),
			(fill("", "[", "", limits.bytes), "deep"),
			(fill(r#"{"a":"#, r#"{"a":"#, "", limits.bytes), "deep"),
			(fill("\"", "x", "\"", limits.bytes + 2), "bytes"),
		] {
			let begun = Instant::now();
			let error = read(json.as_bytes()).expect(why).to_string();
			assert!(error.contains(why) && error.len() < 1_000, "{why}: {error:.200}");
			assert!(begun.elapsed() < TIME, "{why} took {:?}", begun.elapsed());
		}
	}
	println!("peak KiB: {}", peak_kib());
}

#[test]
fn the_largest_files_are_refused_in_space() {
	let peak = peak_of("the_largest_files");
	assert!(peak < MEMORY_KIB, "{peak} KiB");
}

#[test]
fn malformed_tokenizers_are_refused() {
	let with = |change: &dyn Fn(&mut serde_json::Value)| {
		let mut json = tokenizer();
		change(&mut json);
		Tokenizer::parse(json.to_string().as_bytes())
	};
	assert!(with(&|_| {}).is_ok());
	for (what, change, why) in [
		(
			"a token id of 2³²−1",
			(|json| json["model"]["vocab"]["!"] = 4_294_967_295u32.into()) as fn(&mut serde_json::Value),
			"",
		),
		(
			"a token id below zero",
			|json| json["model"]["vocab"]["!"] = (-1).into(),
			"",
		),
		(
			"a token that isn't written in bytes",
			|json| {
				json["model"]["vocab"].as_object_mut().unwrap().remove("or");
				json["model"]["merges"].as_array_mut().unwrap().pop();
				json["model"]["vocab"]["日本"] = 261.into();
			},
			"not written in bytes",
		),
		(
			"two tokens of one id",
			|json| json["model"]["vocab"]["!"] = 34.into(),
			"two tokens have the id 34",
		),
		(
			"an added token with another's id",
			|json| json["added_tokens"][0]["id"] = 5.into(),
			"can't have the id",
		),
		(
			"an added token beyond the others",
			|json| json["added_tokens"][2]["id"] = 9999.into(),
			"can't have the id",
		),
		(
			"a prefix longer than a token",
			|json| json["model"]["continuing_subword_prefix"] = "xxxxx".into(),
			"`continuing_subword_prefix`",
		),
		(
			"a merge of unknown tokens",
			|json| json["model"]["merges"][0] = "zz zz".into(),
			"needs the token `zz`",
		),
		(
			"a merge of one part",
			|json| json["model"]["merges"][0] = "h".into(),
			"has not two halves",
		),
		(
			"a merge into a token longer than all",
			|json| json["model"]["merges"][0] = serde_json::json!(["hello", "hello"]),
			"needs the token `hellohello`",
		),
		(
			"an added token without a text",
			|json| json["added_tokens"][0]["content"] = "".into(),
			"",
		),
	] {
		let error = with(&change)
			.err()
			.unwrap_or_else(|| panic!("{what} is taken"))
			.to_string();
		assert!(
			error.starts_with("tokenizer.json refused") && error.contains(why),
			"{what}: {error}"
		);
	}
	for json in [&b"\xff\xfe"[..], b"{\"model\":\xc3}", b"", b"null", b"{}"] {
		assert!(matches!(Tokenizer::parse(json), Err(Error::Tokenizer(_))));
	}
}
