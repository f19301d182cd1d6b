use super::*;

fn parse(json: &str) -> Result<Chat> {
	Chat::parse(json.as_bytes())
}

fn refused(json: &str) -> String {
	parse(json).expect_err(json).to_string()
}

#[test]
fn a_conversation_with_tools_is_read_and_arguments_become_maps() {
	let chat = parse(
		r#"{
			"messages": [
				{"role": "system", "content": "Be brief."},
				{"role": "user", "content": [{"type": "text", "text": "Weather in Rome?"}]},
				{"role": "assistant", "content": null, "tool_calls": [
					{"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{\"city\": \"Rome\"}"}}]},
				{"role": "tool", "tool_call_id": "c1", "content": "sunny"}
			],
			"tools": [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "minimum": 0.5}}}],
			"tool_choice": {"type": "function", "function": {"name": "weather"}},
			"response_format": {"type": "json_schema", "json_schema": {"name": "x", "strict": true, "schema": {"type": "object"}}},
			"chat_template_kwargs": {"enable_thinking": false}
		}"#,
	)
	.unwrap();
	assert_eq!(chat.messages.len(), 4);
	let arguments = chat.messages[2].get("tool_calls").unwrap().as_list().unwrap()[0]
		.get("function")
		.unwrap()
		.get("arguments")
		.unwrap();
	assert_eq!(arguments.get("city").unwrap().as_text(), Some("Rome"));
	assert_eq!(chat.tool_choice, ToolChoice::Function("weather".into()));
	assert!(matches!(chat.response_format, ResponseFormat::JsonSchema(Json::Map(_))));
	assert_eq!(chat.template_variables, [("enable_thinking".into(), Json::Bool(false))]);
}

#[test]
fn what_is_null_is_as_if_it_were_not_there() {
	let chat =
		parse(r#"{"messages": [{"role": "user", "content": "x"}], "tools": null, "response_format": null}"#).unwrap();
	assert!(chat.tools.is_empty() && chat.response_format == ResponseFormat::Text);
	assert_eq!(chat.tool_choice, ToolChoice::Auto);
}

#[test]
fn each_refusal_names_where_and_why() {
	let user = r#"{"role":"user","content":"x"}"#;
	let with = |rest: &str| format!(r#"{{"messages":[{user}],{rest}}}"#);
	for (json, said) in [
		("[]".to_string(), "it must be an object with `messages`"),
		("{}".into(), "messages: it is missing"),
		(r#"{"messages":[]}"#.into(), "messages: it is empty"),
		(
			r#"{"messages":[{"content":"x"}]}"#.into(),
			"messages[0].role: it must be a text",
		),
		(
			r#"{"messages":[{"role":"bot","content":"x"}]}"#.into(),
			"messages[0].role: it must be `system`",
		),
		(
			r#"{"messages":[{"role":"user"}]}"#.into(),
			"messages[0].content: it is missing",
		),
		(
			r#"{"messages":[{"role":"user","content":7}]}"#.into(),
			"messages[0].content: it must be a text",
		),
		(
			r#"{"messages":[{"role":"user","content":[{"type":"image_url"}]}]}"#.into(),
			"messages[0].content[0].type: models here read `text` only",
		),
		(
			r#"{"messages":[{"role":"user","content":"x","tool_calls":[]}]}"#.into(),
			"messages[0].tool_calls: it is not known here",
		),
		(
			r#"{"messages":[{"role":"tool","content":"x","tool_call_id":"c"}]}"#.into(),
			"messages[0].tool_call_id: no earlier message",
		),
		(
			r#"{"messages":[{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":"no"}}]}]}"#.into(),
			"messages[0].tool_calls[0].function.arguments: it must be a JSON object",
		),
		(with(r#""temperature":1"#), "temperature: it is not known here"),
		(
			with(r#""tools":[{"type":"web"}]"#),
			"tools[0].type: it must be `function`",
		),
		(
			with(r#""tools":[{"type":"function","function":{"name":"a b"}}]"#),
			"tools[0].function.name: a name has",
		),
		(with(r#""tool_choice":"required""#), "tool_choice: it is `required`"),
		(
			with(r#""tool_choice":{"type":"function","function":{"name":"f"}}"#),
			"no tool has the name `f`",
		),
		(
			with(r#""response_format":{"type":"xml"}"#),
			"response_format.type: it must be",
		),
		(
			with(r#""response_format":{"type":"json_schema","json_schema":{"name":"x"}}"#),
			"response_format.json_schema.schema: it is missing",
		),
		(
			with(r#""chat_template_kwargs":{"messages":[]}"#),
			"chat_template_kwargs.messages: it cannot be set here",
		),
		("{".into(), "EOF"),
	] {
		let reason = refused(&json);
		assert!(reason.contains(said), "{json}: {reason}");
	}
}

#[test]
fn what_is_too_large_is_refused_before_it_is_parsed() {
	let deep = format!(r#"{{"messages":{}{}}}"#, "[".repeat(40), "]".repeat(40));
	assert!(refused(&deep).contains("nests more than 32 deep"));
	let wide = format!(r#"{{"messages":[{}]}}"#, "1,".repeat(17_000));
	assert!(refused(&wide).contains("more than 16384 values"));
	let long = format!(
		r#"{{"messages":[{{"role":"user","content":"{}"}}]}}"#,
		"x".repeat(70_000)
	);
	assert!(refused(&long).contains("at most 65536 are read"));
}
