//! Every way of writing calls, token by token.

use super::*;

fn any() -> Notations {
	notations(None).unwrap()
}

fn notations(template: Option<&str>) -> Option<Notations> {
	let chat = br#"{"messages":[{"role":"user","content":"x"}],"tools":[{"type":"function","function":{"name":"f",
		"parameters":{"type":"object","properties":{"n":{"type":"integer"},"s":{"type":"string"},"l":{"type":["array","null"]},
		"o":{"anyOf":[{"type":"string"},{"type":"null"}]}}}}},{"type":"function","function":{"name":"g"}}]}"#;
	let model = Model {
		id: assay_primitives::ModelId([1; 32]),
		name: "m".into(),
		context_length: 8,
		providers: 1,
		prices: None,
		created: None,
		chat_template: template.map(String::from),
	};
	Notations::of(&Chat::parse(chat).unwrap(), &model, true)
}

/// Shows an answer token by token, and checks that nothing shown was wrong.
fn replay(text: &str) -> (String, Vec<Call>) {
	let notations = any();
	let (content, calls) = notations.split(text);
	for end in (0..=text.len()).filter(|end| text.is_char_boundary(*end)) {
		let shown = notations.text(&text[..end]);
		assert!(content.starts_with(shown), "{shown:?} of {content:?}");
		let early = notations.calls(&text[..end]);
		assert_eq!(early[..], calls[..early.len()], "{text:?}");
	}
	(content, calls)
}

#[test]
fn what_is_shown_early_stays_right_whatever_follows() {
	let call = r#"<tool_call>{"name":"f","arguments":{"a":"</tool_call>"}}</tool_call>"#;
	for (text, content, count) in [
		("plain text é <b>", "plain text é <b>", 0),
		("a < b and <tool", "a < b and <tool", 0),
		(call, "", 1),
		(&format!("Let me see.\n\n{call}\n{call}"), "Let me see.", 2),
		(&format!("{call} trailing words"), " trailing words", 1),
		(
			"<tool_call>{\"name\":\"f\",\"arguments\":{}",
			"<tool_call>{\"name\":\"f\",\"arguments\":{}",
			0,
		),
		("<tool_call>no</tool_call> end", "<tool_call>no</tool_call> end", 0),
		(r#"{"name":"f","parameters":{}}"#, "", 1),
		(r#"{"a": 1} is JSON"#, r#"{"a": 1} is JSON"#, 0),
		(
			r#"[TOOL_CALLS][{"name":"f","arguments":{}},{"name":"g","arguments":{}}]"#,
			"",
			2,
		),
		(r#"functools[{"name":"f","arguments":{}}]"#, "", 1),
		("functional programming", "functional programming", 0),
		("  \n ", "  \n ", 0),
		("", "", 0),
	] {
		let (shown, calls) = replay(text);
		assert_eq!((shown.as_str(), calls.len()), (content, count), "{text}");
	}
}

#[test]
fn plain_text_is_shown_at_once() {
	assert_eq!(any().text("Hello, wor"), "Hello, wor");
	assert_eq!(any().text("a <tool_"), "a");
	assert_eq!(any().text("{\"name\""), "");
}

fn written(text: &str) -> (String, Vec<String>) {
	let (content, calls) = replay(text);
	let written = |call: &Call| format!("{}{}", call.name, serde_json::to_string(&call.arguments).unwrap());
	(content, calls.iter().map(written).collect())
}

#[test]
fn values_of_elements_have_the_types_of_the_schema() {
	let qwen = "Let me see.\n\n<tool_call>\n<function=f>\n<parameter=n>\n7\n</parameter>\n<parameter=s>\n7\nlines </parameter> \n\
		</parameter>\n<parameter=l>\n[1, \"a\"]\n</parameter>\n<parameter=o>null</parameter>\n<parameter=u>1</parameter>\n\
		</function>\n</tool_call>\n<tool_call><function=g></function></tool_call>\n";
	let f = r#"f{"n":7,"s":"7\nlines </parameter> ","l":[1,"a"],"o":null,"u":"1"}"#;
	let expected = ("Let me see.".to_string(), vec![f.to_string(), "g{}".into()]);
	assert_eq!(written(qwen), expected);
	let glm = "Let me see.<tool_call>f\n<arg_key>n</arg_key>\n<arg_value>7</arg_value>\n<arg_key>s</arg_key>\n\
		<arg_value>7\nlines </parameter> </arg_value>\n<arg_key>l</arg_key><arg_value>[1,\"a\"]</arg_value><arg_key>o</arg_key>\n\
		<arg_value>null</arg_value><arg_key>u</arg_key><arg_value>1</arg_value></tool_call>\n<tool_call>g</tool_call>";
	assert_eq!(written(glm), expected);
	// What is no number is passed on as it is, for the tool to complain about.
	let wrong = "<function=f><parameter=n>seven</parameter></function>";
	assert_eq!(written(wrong), (String::new(), vec![r#"f{"n":"seven"}"#.into()]));
}

#[test]
fn calls_of_deepseek_are_read_in_both_forms() {
	let v3 = "I look.<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>f\n```json\n{\"n\": 7}\n```<｜tool▁call▁end｜>\n\
		<｜tool▁call▁begin｜>function<｜tool▁sep｜>g\n```json\n{}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>";
	let v31 = "I look.<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>f<｜tool▁sep｜>{\"n\": 7}<｜tool▁call▁end｜>\
		<｜tool▁call▁begin｜>g<｜tool▁sep｜>{}<｜tool▁call▁end｜><｜tool▁calls▁end｜>";
	for text in [v3, v31] {
		assert_eq!(
			written(text),
			("I look.".into(), vec![r#"f{"n":7}"#.into(), "g{}".into()]),
			"{text}"
		);
	}
}

#[test]
fn a_list_of_actions_is_read_wherever_it_stands() {
	let list =
		r#"[{"tool_call_id": "0", "tool_name": "f", "parameters": {"n": 7}}, {"tool_name": "g", "parameters": {}}]"#;
	for (text, content) in [
		(format!("<|START_ACTION|>{list}<|END_ACTION|>"), ""),
		(format!("I look.\n<|START_ACTION|>\n{list}\n<|END_ACTION|>"), "I look."),
		(format!("Action: ```json\n{list}\n```"), ""),
		(list.to_string(), ""),
	] {
		assert_eq!(
			written(&text),
			(content.into(), vec![r#"f{"n":7}"#.into(), "g{}".into()]),
			"{text}"
		);
	}
}

#[test]
fn what_is_not_a_whole_call_stays_text() {
	for text in [
		"<tool_call>\n<function=f>\n<parameter=n>\n7",
		"<tool_call>\n<function=f>\n<parameter=n>\n7\n</parameter>\n<parameter=n>8</parameter></function></tool_call>",
		"<tool_call><function=f g></function></tool_call>",
		"<function=f>x</function>",
		"<tool_call>h<arg_key>n</arg_key><arg_value>7</arg_value></tool_call>",
		"<tool_call>f<arg_key>n</arg_key></tool_call>",
		"<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>f<｜tool▁sep｜>{\"n\": 7",
		"<｜tool▁call▁begin｜>f<｜tool▁sep｜>[7]<｜tool▁call▁end｜>",
		"<|START_ACTION|>[]<|END_ACTION|>",
		r#"<|START_ACTION|>[{"tool_name": "f", "parameters": {}, "more": 1}]<|END_ACTION|>"#,
		r#"Action: ```json {"tool_name": "f", "parameters": {}}```"#,
		"[1, 2] is a list",
	] {
		assert_eq!(written(text), (text.into(), vec![]), "{text}");
	}
}

#[test]
fn a_call_within_a_call_is_an_argument() {
	let inner = "<function=g></function><｜tool▁call▁begin｜>g<｜tool▁sep｜>{}<｜tool▁call▁end｜>";
	let json = serde_json::to_string(inner).unwrap();
	let text = format!("<tool_call>{{\"name\":\"f\",\"arguments\":{{\"s\":{json}}}}}</tool_call>");
	assert_eq!(written(&text), (String::new(), vec![format!("f{{\"s\":{json}}}")]));
}

#[test]
fn a_template_names_the_one_notation_of_its_model() {
	for (template, text, calls) in [
		(
			"<tool_call>\n<function=f>\n<parameter=a>",
			"<tool_call><function=g></function></tool_call>",
			1,
		),
		("<tool_call>f\n<arg_key>a</arg_key>", "<tool_call>g</tool_call>", 1),
		(
			"<｜tool▁call▁begin｜>function<｜tool▁sep｜>",
			"<｜tool▁call▁begin｜>g<｜tool▁sep｜>{}<｜tool▁call▁end｜>",
			1,
		),
		(
			"<|START_ACTION|>",
			r#"<|START_ACTION|>[{"tool_name":"g","parameters":{}}]<|END_ACTION|>"#,
			1,
		),
		("<|START_ACTION|>", "<tool_call><function=g></function></tool_call>", 0),
	] {
		let (_, read) = notations(Some(template)).unwrap().split(text);
		assert_eq!(read.len(), calls, "{template}");
	}
	assert!(notations(Some("{{ messages }}")).is_none());
}

#[test]
fn no_mixture_of_notations_takes_back_what_was_shown() {
	use rand::{seq::SliceRandom, Rng, SeedableRng};
	const PIECES: [&str; 33] = [
		"<tool_call>",
		"</tool_call>",
		"{\"name\":\"f\",\"arguments\":{}}",
		"{\"name\":\"f\",\"arguments\":{\"s\":\"",
		"\"}}",
		"<function=f>",
		"<function=g>",
		"</function>",
		"<parameter=n>",
		"</parameter>",
		"f",
		"g",
		"<arg_key>",
		"</arg_key>",
		"<arg_value>",
		"</arg_value>",
		"<｜tool▁calls▁begin｜>",
		"<｜tool▁call▁begin｜>",
		"<｜tool▁sep｜>",
		"<｜tool▁call▁end｜>",
		"<｜tool▁calls▁end｜>",
		"{}",
		"<|START_ACTION|>",
		"<|END_ACTION|>",
		"Action: ```json",
		"```",
		"[{\"tool_name\":\"f\",\"parameters\":{}}]",
		" ",
		"\n",
		"é",
		"<tool_call>{\"name\":\"f\",\"arguments\":{}}</tool_call>",
		"<function=g></function>",
		"<｜tool▁call▁begin｜>g<｜tool▁sep｜>{}<｜tool▁call▁end｜>",
	];
	let mut random = rand::rngs::StdRng::seed_from_u64(47);
	let mut with_calls = 0;
	for _ in 0..1_000 {
		let length = random.gen_range(1..=12);
		let text: String = (0..length).map(|_| *PIECES.choose(&mut random).unwrap()).collect();
		with_calls += usize::from(!replay(&text).1.is_empty());
	}
	assert!(with_calls > 150, "{with_calls}");
}
