//! The chat template: a program from a stranger, so it runs with fuel, without a clock, and into a buffer with an end.

use crate::{files, Error, Result};
use minijinja::{context, Environment, ErrorKind, State, Value};
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
		environment.set_unknown_method_callback(string_method);
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

/// The few string methods of Python that chat templates call.
fn string_method(
	_: &State<'_, '_>,
	value: &Value,
	method: &str,
	args: &[Value],
) -> std::result::Result<Value, minijinja::Error> {
	match (value.as_str(), method, args.first().and_then(Value::as_str)) {
		(Some(s), "strip", None) => Ok(s.trim().into()),
		(Some(s), "lstrip", None) => Ok(s.trim_start().into()),
		(Some(s), "rstrip", None) => Ok(s.trim_end().into()),
		(Some(s), "startswith", Some(with)) => Ok(s.starts_with(with).into()),
		(Some(s), "endswith", Some(with)) => Ok(s.ends_with(with).into()),
		_ => Err(minijinja::Error::from(ErrorKind::UnknownMethod)),
	}
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
