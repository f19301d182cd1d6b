//! The chat template: a program from a stranger, so it runs with fuel, without a clock, and into a buffer with an end.

use crate::{files, Error, Result};
use minijinja::{context, Environment, ErrorKind, Value};
use std::{io, path::Path};

/// Instructions one rendering may take.
const FUEL: u64 = 200_000;
/// Deepest recursion.
const DEPTH: usize = 32;
/// Longest rendered prompt, in bytes.
const MAX_RENDERED_BYTES: usize = 128 << 10;
const NAME: &str = "chat";

/// A chat template.
pub struct Template {
	environment: Environment<'static>,
	bos: String,
	eos: String,
}

impl Template {
	/// Reads a folder's `chat_template.jinja`. `bos` and `eos` are what the template may call by these names.
	pub fn read(dir: &Path, bos: &str, eos: &str) -> Result<Self> {
		Self::parse(
			&files::read(&dir.join(files::TEMPLATE), files::MAX_TEMPLATE_BYTES)?,
			bos,
			eos,
		)
	}

	/// Compiles a template.
	pub fn parse(source: &[u8], bos: &str, eos: &str) -> Result<Self> {
		if source.len() as u64 > files::MAX_TEMPLATE_BYTES {
			return Err(Error::Template(format!(
				"{} bytes; at most {}",
				source.len(),
				files::MAX_TEMPLATE_BYTES
			)));
		}
		let source = std::str::from_utf8(source).map_err(|_| Error::Template("not UTF-8".into()))?;
		let mut environment = Environment::new();
		environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
		// As Hugging Face renders chat templates.
		environment.set_trim_blocks(true);
		environment.set_lstrip_blocks(true);
		environment.set_fuel(Some(FUEL));
		environment.set_recursion_limit(DEPTH);
		environment.remove_global("debug");
		environment.add_function(
			"raise_exception",
			|message: String| -> std::result::Result<Value, minijinja::Error> {
				Err(minijinja::Error::new(ErrorKind::InvalidOperation, message))
			},
		);
		// Python's methods of strings, lists and dictionaries.
		environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
		environment
			.add_template_owned(NAME, source.to_owned())
			.map_err(refused)?;
		Ok(Self {
			environment,
			bos: bos.to_owned(),
			eos: eos.to_owned(),
		})
	}

	/// The prompt of one user message.
	pub fn render(&self, message: &str) -> Result<String> {
		let template = self.environment.get_template(NAME).map_err(refused)?;
		let mut out = Bounded(Vec::new());
		let context = context! {
			messages => [context! { role => "user", content => message }],
			add_generation_prompt => true,
			// Said as transformers says it: templates ask whether they are none.
			tools => Value::from(()),
			documents => Value::from(()),
			bos_token => self.bos,
			eos_token => self.eos,
		};
		template.render_captured_to(context, &mut out).map_err(refused)?;
		String::from_utf8(out.0).map_err(|_| Error::Template("rendered text is not UTF-8".into()))
	}
}

fn refused(error: minijinja::Error) -> Error {
	Error::Template(format!("{error:#}"))
}

struct Bounded(Vec<u8>);

impl io::Write for Bounded {
	fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
		if self.0.len() + bytes.len() > MAX_RENDERED_BYTES {
			return Err(io::Error::other("the rendered prompt is too long"));
		}
		self.0.extend_from_slice(bytes);
		Ok(bytes.len())
	}

	fn flush(&mut self) -> io::Result<()> {
		Ok(())
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	fn render(source: &str, message: &str) -> Result<String> {
		Template::parse(source.as_bytes(), "<s>", "</s>")?.render(message)
	}

	#[test]
	fn a_template_sees_the_message_and_the_special_tokens() {
		let source =
			"{{ bos_token }}{% for m in messages %}\n<|{{ m.role }}|>{{ m['content'].strip() }}{{ eos_token }}\
			{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}";
		assert_eq!(
			render(source, " <b>&hi ").unwrap(),
			"<s><|user|><b>&hi</s><|assistant|>"
		);
	}

	/// Excerpts with every construct that the published templates of the families use on a prompt of one message.
	#[test]
	fn the_families_templates_render_as_transformers_renders_them() {
		for (source, expected) in [
			(
				"{% for message in messages %}\n{% if message['role'] == 'user' %}\n{{ '<|user|>\n' + message['content'] + eos_token }}\n\
				{% elif message['role'] == 'system' %}\n{{ '<|system|>\n' + message['content'] + eos_token }}\n{% endif %}\n\
				{% if loop.last and add_generation_prompt %}\n{{ '<|assistant|>' }}\n{% endif %}\n{% endfor %}",
				"<|user|>\nhi </s>\n<|assistant|>\n",
			),
			(
				"{%- if messages[0]['role'] == 'system' %}{%- set system_message = messages[0]['content'] %}\
				{%- set loop_messages = messages[1:] %}{%- else %}{%- set loop_messages = messages %}{%- endif %}\
				{%- if not tools is defined %}{%- set tools = none %}{%- endif %}\
				{%- set user_messages = loop_messages | selectattr('role', 'equalto', 'user') | list %}\
				{%- set ns = namespace() %}{%- set ns.index = 0 %}{%- for message in loop_messages %}\
				{%- if not (message.role == 'tool' or (message.tool_calls is defined and message.tool_calls is not none)) %}\
				{%- if (message['role'] == 'user') != (ns.index % 2 == 0) %}{{- raise_exception('roles must alternate') }}{%- endif %}\
				{%- set ns.index = ns.index + 1 %}{%- endif %}{%- endfor %}{{- bos_token }}\
				{%- for message in loop_messages %}{%- if message['role'] == 'user' %}\
				{%- if tools is not none and (message == user_messages[-1]) %}{{- '[AVAILABLE_TOOLS]' + tools|tojson }}{%- endif %}\
				{{- '[INST] ' + message['content'] + '[/INST]' }}{%- endif %}{%- endfor %}",
				"<s>[INST] hi [/INST]",
			),
			(
				"{{- bos_token }}{%- if not date_string is defined %}{%- if strftime_now is defined %}\
				{%- set date_string = strftime_now('%d %b %Y') %}{%- else %}{%- set date_string = '26 Jul 2024' %}{%- endif %}{%- endif %}\
				{%- if messages[0]['role'] == 'system' %}{%- set system_message = messages[0]['content']|trim %}\
				{%- set messages = messages[1:] %}{%- else %}{%- set system_message = '' %}{%- endif %}\
				{{- '<|start_header_id|>system<|end_header_id|>\n\n' }}{{- 'Today Date: ' + date_string + '\n\n' }}\
				{{- system_message }}{{- '<|eot_id|>' }}\
				{%- for message in messages %}{%- if not (message.role == 'ipython' or 'tool_calls' in message) %}\
				{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' }}\
				{%- endif %}{%- endfor %}",
				"<s><|start_header_id|>system<|end_header_id|>\n\nToday Date: 26 Jul 2024\n\n<|eot_id|>\
				<|start_header_id|>user<|end_header_id|>\n\nhi<|eot_id|>",
			),
			(
				"{%- set ns = namespace(multi_step_tool=true, last_query_index=messages|length - 1) %}\
				{%- for message in messages[::-1] %}{%- set index = (messages|length - 1) - loop.index0 %}\
				{%- if ns.multi_step_tool and message.role == 'user' and message.content is string and \
				not(message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}\
				{%- set ns.multi_step_tool = false %}{%- set ns.last_query_index = index %}{%- endif %}{%- endfor %}\
				{%- for message in messages %}{%- set content = message.content %}{%- if (message.role == 'user') %}\
				{{- '<|im_start|>' + message.role + '\n' + content.split('</think>')[-1].lstrip('\n') + '<|im_end|>' + '\n' }}\
				{%- endif %}{%- endfor %}{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}\
				{%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\n\n</think>\n\n' }}{%- endif %}{%- endif %}",
				"<|im_start|>user\nhi <|im_end|>\n<|im_start|>assistant\n",
			),
		] {
			assert_eq!(render(source, "hi ").unwrap(), expected, "{source}");
		}
	}

	#[test]
	fn a_template_that_never_ends_runs_out_of_fuel() {
		let source = "{% for a in range(9999) %}{% for b in range(9999) %}{% for c in range(9999) %}{% endfor %}{% endfor %}{% endfor %}";
		assert!(matches!(render(source, "x"), Err(Error::Template(_))));
	}

	#[test]
	fn a_template_that_writes_too_much_is_stopped() {
		let source = "{% for a in range(9999) %}{{ messages[0].content }}{% endfor %}";
		assert!(render(source, &"x".repeat(1000)).is_err());
	}

	#[test]
	fn a_template_can_refuse_and_has_no_clock() {
		let refusal = render("{{ raise_exception('only one turn') }}", "x")
			.unwrap_err()
			.to_string();
		assert!(refusal.contains("only one turn"), "{refusal}");
		assert!(render("{{ strftime_now('%d') }}", "x").is_err());
	}
}
