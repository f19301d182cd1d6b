//! Tools, choices and formats of the Responses API, brought into the form that the chain's parser knows.

use super::input::{invalid, map, required, unsupported};
use crate::{error::ApiError, request::Notes, service::text};
use assay_primitives::json::Json;

/// Functions in the form of chat completions, and where they were in the request.
#[derive(Default)]
pub(super) struct Tools {
	pub(super) functions: Vec<Json>,
	pub(super) places: Vec<String>,
}

/// What a function of a namespace is called where there are no namespaces.
pub(super) fn full_name(namespace: &str, name: &str) -> String {
	format!("{namespace}__{name}")
}

/// The functions that are in namespaces: their full names, and both parts of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Names(Vec<(String, String, String)>);

impl Names {
	/// Reads the tools of a request. What is wrong with them is found by [`Tools::read`].
	pub(super) fn of(tools: &Json) -> Self {
		let names = |tool: &Json, key: &str| tool.get(key).and_then(Json::as_text).map(String::from);
		let mut all = Vec::new();
		for tool in tools.as_list().unwrap_or_default() {
			let inner = tool.get("tools").and_then(Json::as_list).unwrap_or_default();
			for name in inner.iter().filter_map(|tool| names(tool, "name")) {
				all.extend(names(tool, "name").map(|namespace| (full_name(&namespace, &name), namespace, name)));
			}
		}
		Self(all)
	}

	/// Returns the namespace and the name of a function.
	pub(super) fn parts<'n>(&'n self, full: &'n str) -> (Option<&'n str>, &'n str) {
		match self.0.iter().find(|(known, ..)| known == full) {
			Some((_, namespace, name)) => (Some(namespace), name),
			None => (None, full),
		}
	}
}

impl Tools {
	/// Reads functions, and namespaces of functions.
	pub(super) fn read(tools: &Json, notes: &mut Notes) -> Result<Self, ApiError> {
		let list = tools.as_list().ok_or_else(|| invalid("tools", "it must be a list"))?;
		let mut read = Self::default();
		for (i, tool) in list.iter().enumerate() {
			read.one(tool, &format!("tools[{i}]"), notes)?;
		}
		Ok(read)
	}

	fn one(&mut self, tool: &Json, at: &str, notes: &mut Notes) -> Result<(), ApiError> {
		match required(tool, "type", at)?.as_str() {
			"function" => self.function(tool, at, None),
			"namespace" => {
				let namespace = required(tool, "name", at)?;
				if tool.get("description").is_some() {
					notes.ignore(format!("{at}.description"));
				}
				let inner = tool.get("tools").and_then(Json::as_list);
				let inner = inner.ok_or_else(|| invalid(&format!("{at}.tools"), "it must be a list"))?;
				for (i, tool) in inner.iter().enumerate() {
					let at = format!("{at}.tools[{i}]");
					match required(tool, "type", &at)?.as_str() {
						"function" => self.function(tool, &at, Some(&namespace))?,
						kind => return Err(unsupported(&at, kind, OWN)),
					}
				}
				Ok(())
			}
			kind => Err(unsupported(at, kind, OWN)),
		}
	}

	fn function(&mut self, tool: &Json, at: &str, namespace: Option<&str>) -> Result<(), ApiError> {
		let entry = |(key, value): &(String, Json)| match (key.as_str(), value, namespace) {
			("type", ..) | (_, Json::Null, _) => None,
			("name", Json::Text(name), Some(namespace)) => Some((key.clone(), Json::Text(full_name(namespace, name)))),
			// The chain's parser knows the others, or refuses them.
			_ => Some((key.clone(), value.clone())),
		};
		let entries = tool.as_map().ok_or_else(|| invalid(at, "it must be an object"))?;
		let function = Json::Map(entries.iter().filter_map(entry).collect());
		self.functions
			.push(map(vec![("type", text("function")), ("function", function)]));
		self.places.push(at.into());
		Ok(())
	}
}

/// What to do instead of a tool that is not supported.
const OWN: &str = "offer functions of your own";

/// Returns the choice of tools in the form of chat completions.
pub(super) fn tool_choice(choice: Json) -> Result<Json, ApiError> {
	match choice.get("type").and_then(Json::as_text) {
		// A word, or what the parser refuses.
		None => Ok(choice),
		Some("function") => {
			let name = required(&choice, "name", "tool_choice")?;
			Ok(map(vec![
				("type", text("function")),
				("function", map(vec![("name", Json::Text(name))])),
			]))
		}
		Some(kind) => Err(unsupported(
			"tool_choice",
			kind,
			"name a function, or `auto`, `none` or `required`",
		)),
	}
}

/// Returns a format of the text in the form of chat completions.
pub(super) fn response_format(format: Json) -> Json {
	let is_schema = format.get("type").and_then(Json::as_text) == Some("json_schema");
	match format {
		Json::Map(entries) if is_schema => {
			let described = entries
				.into_iter()
				.filter(|(key, value)| key != "type" && *value != Json::Null);
			map(vec![
				("type", text("json_schema")),
				("json_schema", Json::Map(described.collect())),
			])
		}
		other => other,
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn tools_choices_and_formats_take_the_form_of_chat_completions() {
		let json = |text: &str| serde_json::from_str::<Json>(text).unwrap();
		let written = |json: &Json| serde_json::to_string(json).unwrap();
		let sent =
			r#"[{"type":"function","name":"f","description":null,"parameters":{"type":"object"},"strict":true}]"#;
		let read = |sent: &str| Tools::read(&json(sent), &mut Notes::default());
		assert_eq!(
			written(&Json::List(read(sent).unwrap().functions)),
			r#"[{"type":"function","function":{"name":"f","parameters":{"type":"object"},"strict":true}}]"#
		);
		for (sent, param) in [
			("{}", "tools"),
			("[{}]", "tools[0].type"),
			(r#"[{"type":"web_search"}]"#, "tools[0].type"),
			(
				r#"[{"type":"namespace","name":"n","tools":[{"type":"web_search"}]}]"#,
				"tools[0].tools[0].type",
			),
			(r#"[{"type":"namespace","name":"n"}]"#, "tools[0].tools"),
			(r#"[{"type":"custom","name":"patch"}]"#, "tools[0].type"),
		] {
			assert_eq!(read(sent).err().unwrap().param.as_deref(), Some(param), "{sent}");
		}
		assert_eq!(written(&tool_choice(json(r#""required""#)).unwrap()), r#""required""#);
		assert_eq!(
			written(&tool_choice(json(r#"{"type":"function","name":"f"}"#)).unwrap()),
			r#"{"type":"function","function":{"name":"f"}}"#
		);
		let refused = tool_choice(json(r#"{"type":"allowed_tools","mode":"auto","tools":[]}"#)).unwrap_err();
		assert_eq!(refused.param.as_deref(), Some("tool_choice.type"));
		let sent = r#"{"type":"json_schema","name":"n","description":null,"strict":true,"schema":{"type":"object"}}"#;
		assert_eq!(
			written(&response_format(json(sent))),
			r#"{"type":"json_schema","json_schema":{"name":"n","strict":true,"schema":{"type":"object"}}}"#
		);
		assert_eq!(
			written(&response_format(json(r#"{"type":"text"}"#))),
			r#"{"type":"text"}"#
		);
	}

	#[test]
	fn a_function_of_a_namespace_has_both_names() {
		let sent = r#"[{"type":"function","name":"f"},{"type":"namespace","name":"n","description":"d",
			"tools":[{"type":"function","name":"g","strict":false}]}]"#;
		let sent: Json = serde_json::from_str(sent).unwrap();
		let mut notes = Notes::default();
		let read = Tools::read(&sent, &mut notes).unwrap();
		assert_eq!(
			serde_json::to_string(&read.functions).unwrap(),
			r#"[{"type":"function","function":{"name":"f"}},{"type":"function","function":{"name":"n__g","strict":false}}]"#
		);
		assert_eq!(
			(read.places, notes.ignored),
			(
				vec!["tools[0]".into(), "tools[1].tools[0]".into()],
				vec!["tools[1].description".into()]
			)
		);
		let names = Names::of(&sent);
		assert_eq!(
			(names.parts("n__g"), names.parts("f"), names.parts("m__g")),
			((Some("n"), "g"), (None, "f"), (None, "m__g"))
		);
	}
}
