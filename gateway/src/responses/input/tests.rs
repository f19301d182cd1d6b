//! Items of every kind, as clients send and send back.

use super::*;

fn read(instructions: Option<&str>, input: &str) -> Result<(String, Notes), ApiError> {
	let mut notes = Notes::default();
	let input = serde_json::from_str(input).unwrap();
	let read = Conversation::read(instructions.map(String::from), input, &KeptItems::default(), &mut notes)?;
	Ok((serde_json::to_string(&read.messages).unwrap(), notes))
}

#[test]
fn a_text_is_a_user_s_message() {
	let (messages, _) = read(Some("Be brief."), r#""Hi""#).unwrap();
	assert_eq!(
		messages,
		r#"[{"role":"system","content":"Be brief."},{"role":"user","content":"Hi"}]"#
	);
	let (messages, _) = read(Some(""), r#""Hi""#).unwrap();
	assert_eq!(messages, r#"[{"role":"user","content":"Hi"}]"#);
}

#[test]
fn items_become_messages_in_the_order_that_templates_expect() {
	let (messages, notes) = read(
		Some("Be brief."),
		r#"[{"role":"developer","content":"Use tools."},
		{"type":"message","role":"user","content":[{"type":"input_text","text":"a"},{"type":"input_text","text":"b"}]},
		{"type":"reasoning","id":"rs_1","summary":[],"content":[{"type":"reasoning_text","text":"hm"}],"encrypted_content":null},
		{"type":"message","id":"msg_1","status":"completed","role":"assistant","content":[{"type":"output_text","text":"Let me see.","annotations":[],"logprobs":[]}]},
		{"type":"function_call","id":"fc_1","call_id":"c1","name":"f","arguments":"{}","status":"completed"},
		{"type":"function_call","call_id":"c2","name":"g","arguments":"{\"a\":1}"},
		{"type":"function_call_output","call_id":"c1","output":"one"},
		{"type":"function_call_output","call_id":"c2","output":[{"type":"input_text","text":"two"}]},
		{"role":"assistant","content":[{"type":"refusal","refusal":"No."}]}]"#,
	)
	.unwrap();
	let expected = [
		r#"{"role":"system","content":"Be brief.\n\nUse tools."}"#,
		r#"{"role":"user","content":"a\nb"}"#,
		concat!(
			r#"{"role":"assistant","content":"Let me see.","reasoning_content":"hm","tool_calls":["#,
			r#"{"id":"c1","type":"function","function":{"name":"f","arguments":"{}"}},"#,
			r#"{"id":"c2","type":"function","function":{"name":"g","arguments":"{\"a\":1}"}}]}"#
		),
		r#"{"role":"tool","content":"one","tool_call_id":"c1"}"#,
		r#"{"role":"tool","content":"two","tool_call_id":"c2"}"#,
		r#"{"role":"assistant","content":"No."}"#,
	];
	assert_eq!(messages, format!("[{}]", expected.join(",")));
	assert_eq!(notes.ignored, [""; 0]);
}

#[test]
fn what_is_not_read_is_named() {
	let (messages, notes) = read(
		None,
		r#"[{"role":"user","content":"x","phase":"final_answer"},
		{"type":"reasoning","summary":[{"type":"summary_text","text":"short"}],"encrypted_content":"e"},
		{"type":"function_call","call_id":"c","name":"f","arguments":"{}"},
		{"type":"reasoning","summary":[],"content":[{"type":"reasoning_text","text":"lost"}]},
		{"type":"function_call_output","call_id":"c","output":""}]"#,
	)
	.unwrap();
	assert!(messages.contains(r#""reasoning_content":"short""#) && !messages.contains("lost"));
	assert_eq!(
		notes.ignored,
		["input[0].phase", "input[1].encrypted_content", "input[3]"]
	);
}

#[test]
fn each_refusal_names_its_item() {
	for (input, param) in [
		("7", "input"),
		("[7]", "input[0]"),
		("[{}]", "input[0].type"),
		(r#"[{"role":"tool","content":"x"}]"#, "input[0].role"),
		(r#"[{"role":"user"}]"#, "input[0].content"),
		(
			r#"[{"role":"user","content":[{"type":"input_image","image_url":"x"}]}]"#,
			"input[0].content[0].type",
		),
		(
			r#"[{"role":"user","content":[{"type":"input_text"}]}]"#,
			"input[0].content[0].text",
		),
		(r#"[{"type":"item_reference"}]"#, "input[0].id"),
		(r#"[{"type":"item_reference","id":"x"}]"#, "input[0].id"),
		(r#"[{"type":"web_search_call","id":"x"}]"#, "input[0].type"),
		(
			r#"[{"type":"function_call","name":"f","arguments":"{}"}]"#,
			"input[0].call_id",
		),
		(r#"[{"type":"function_call_output","call_id":"c"}]"#, "input[0].output"),
	] {
		assert_eq!(read(None, input).unwrap_err().param.as_deref(), Some(param), "{input}");
	}
}

#[test]
fn an_error_of_the_conversation_is_named_by_the_request() {
	let input = r#"[{"role":"user","content":"x"},{"type":"function_call","call_id":"c","name":"f","arguments":"no"},
		{"type":"function_call_output","call_id":"d","output":""}]"#;
	let input = serde_json::from_str(input).unwrap();
	let places = Conversation::read(Some("y".into()), input, &KeptItems::default(), &mut Notes::default())
		.unwrap()
		.places;
	for (param, named) in [
		("messages", "input"),
		("messages[0].content", "instructions.content"),
		("messages[1].content", "input[0].content"),
		("messages[2].tool_calls[0].function.arguments", "input[1].arguments"),
		("messages[3].tool_call_id", "input[2].call_id"),
		("tools[1].function.name", "tools[1].name"),
		("tool_choice.function.name", "tool_choice.name"),
		("response_format.json_schema.schema", "text.format.schema"),
		("messages[9].content", "messages[9].content"),
	] {
		let error = places.named(ApiError::invalid(param, format!("{param}: why")));
		assert_eq!(
			(error.param.as_deref(), error.message),
			(Some(named), format!("{named}: why"))
		);
	}
}
