//! What the language of chat templates means.

use super::*;
use assay_primitives::json::Json;

fn render(source: &str, message: &str) -> Result<String> {
	// The special tokens are variables here, so that what is tested begins at line 1 and costs what it costs.
	let chat = serde_json::json!({
		"messages": [{ "role": "user", "content": message }],
		"bos_token": "<s>",
		"eos_token": "</s>",
	});
	let source = source::checked(source.as_bytes())?;
	Template { source }.render_variables(&variables(&chat.to_string()))
}

fn variables(json: &str) -> Vec<(String, Json)> {
	match serde_json::from_str(json).unwrap() {
		Json::Map(variables) => variables,
		other => panic!("{other:?}"),
	}
}

fn rendered(source: &str) -> String {
	render(source, "hi").unwrap_or_else(|e| panic!("{source}: {e}"))
}

fn reason(source: &str) -> String {
	render(source, "hi").expect_err(source).to_string()
}

#[test]
fn a_template_sees_the_message_and_the_special_tokens() {
	let source = "{{ bos_token }}{% for m in messages %}\n<|{{ m.role }}|>{{ m['content'].strip() }}{{ eos_token }}\
		{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}";
	assert_eq!(
		render(source, " <b>&hi ").unwrap(),
		"<s><|user|><b>&hi</s><|assistant|>"
	);
}

#[test]
fn templates_of_published_families_are_rendered() {
	let llama = r"{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = '<|start_header_id|>' +
		message['role'] + '<|end_header_id|>\n\n' + message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set
		content = bos_token + content %}{% endif %}{{ content }}{% endfor %}{% if add_generation_prompt %}{{ '<|h|>assistant' }}{%
		endif %}";
	assert_eq!(
		render(llama, " hi\n").unwrap(),
		"<s><|start_header_id|>user<|end_header_id|>\n\nhi<|eot_id|><|h|>assistant"
	);
	let mistral = r"{{ bos_token }}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0)
		%}{{ raise_exception('roles must alternate') }}{% endif %}{% if message['role'] == 'user' %}{{ '[INST] ' +
		message['content'] + ' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ message['content'] + eos_token }}{% else
		%}{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}{% endfor %}";
	assert_eq!(rendered(mistral), "<s>[INST] hi [/INST]");
	let qwen = r#"
		{%- if tools %}
			{{- '<|im_start|>system\n' + tools | map(attribute='x') | join }}
		{%- elif messages[0].role == 'system' %}
			{{- '<|im_start|>system\n' + messages[0].content + '<|im_end|>\n' }}
		{%- endif %}
		{%- set ns = namespace(multi_step_tool=true, last_query_index=messages|length - 1) %}
		{%- for message in messages[::-1] %}
			{%- set index = (messages|length - 1) - loop.index0 %}
			{%- if ns.multi_step_tool and message.role == "user" and message.content is string and not(message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}
				{%- set ns.multi_step_tool = false %}
				{%- set ns.last_query_index = index %}
			{%- endif %}
		{%- endfor %}
		{%- for message in messages %}
			{%- if (message.role == "user") or (message.role == "system" and not loop.first) %}
				{{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>' + '\n' }}
			{%- elif message.role == "assistant" and '</think>' in message.content %}
				{%- set content = message.content.split('</think>')[-1].lstrip('\n') %}
			{%- endif %}
		{%- endfor %}
		{%- if add_generation_prompt %}
			{{- '<|im_start|>assistant\n' }}
			{%- if enable_thinking is defined and enable_thinking is false %}
				{{- '<think>\n\n</think>\n\n' }}
			{%- endif %}
		{%- endif %}"#;
	assert_eq!(
		rendered(qwen),
		"<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
	);
	let dated = r#"{%- if not date_string is defined %}{%- if strftime_now is defined %}{%- set date_string = strftime_now("%d %b %Y") %}{%-
		else %}{%- set date_string = "26 Jul 2024" %}{%- endif %}{%- endif %}{%- if messages[0]['role'] == 'system' %}{%- set messages =
		messages[1:] %}{%- else %}{%- set system_message = "" %}{%- endif %}{{- "Today Date: " + date_string + "\n\n" + system_message }}{%-
		for message in messages %}{%- if not (message.role == 'ipython' or 'tool_calls' in message) %}{{- message['content'] | trim }}{%- endif
		%}{%- endfor %}"#;
	assert_eq!(rendered(dated), "Today Date: 26 Jul 2024\n\nhi");
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
fn operators_mean_what_they_mean_in_python() {
	for (source, text) in [
		(
			"{{ 7 // 2 }} {{ -7 // 2 }} {{ 7 % 3 }} {{ -7 % 3 }} {{ 7 % -3 }}",
			"3 -4 1 2 -2",
		),
		(
			"{{ 1 + 2 * 3 - 4 }} {{ 'a' ~ 1 ~ true ~ none ~ missing }}",
			"3 a1TrueNone",
		),
		(
			"{{ 'ab' * 3 }}|{{ 2 * 'x' }}|{{ 'x' * -1 }}|{{ '' * 9000000000000000000 }}",
			"ababab|xx||",
		),
		(
			"{{ 'a' < 'b' and 1 <= 1 < 2 and not 2 > 3 }} {{ 0 or 'x' }} {{ '' and 'x' }}",
			"True x ",
		),
		(
			"{{ 'b' in 'abc' }} {{ 3 in [1, 2] }} {{ 'k' in {'k': 1} }} {{ 1 not in [1] }}",
			"True False True False",
		),
		(
			"{{ [1, 'a'] == [1, 'a'] }} {{ {'a': 1, 'b': 2} == {'b': 2, 'a': 1} }} {{ 1 == '1' }}",
			"True True False",
		),
		(
			"{{ ([1] + [2])|length }} {{ 'yes' if messages else 'no' }} {{ 'x' if false }}",
			"2 yes ",
		),
		(
			"{{ 'hello'[1:3] }} {{ 'hello'[::-1] }} {{ 'hello'[-3:] }} {{ 'äöü'[1] }}",
			"el olleh llo ö",
		),
		(
			"{{ [1,2,3,4][::2]|join }} {{ [1,2,3,4][3:0:-1]|join(',') }} {{ [1,2][5] }} {{ [1,2][-1] }}",
			"13 4,3,2  2",
		),
		(
			"{% set a, b = 1, 2 %}{{ a }}{{ b }}{% for k, v in {'x': 1}.items() %}{{ k }}{{ v }}{% endfor %}",
			"12x1",
		),
	] {
		assert_eq!(rendered(source), text, "{source}");
	}
}

#[test]
fn statements_scope_loop_and_capture() {
	for (source, text) in [
		("{% set x = 1 %}{% for i in [1] %}{% set x = 2 %}{% endfor %}{{ x }}", "1"),
		("{% for i in range(9) if i is odd %}{{ i }}{{ ',' if not loop.last }}{% endfor %}", "1,3,5,7"),
		("{% for i in range(9) %}{% if i == 1 %}{% continue %}{% elif i == 4 %}{% break %}{% endif %}{{ i }}{% endfor %}", "023"),
		("{% for i in [] %}x{% else %}empty{% endfor %}{% for i in missing %}x{% endfor %}", "empty"),
		("{% for i in 'ab' %}{{ loop.index }}/{{ loop.length }}{{ loop.revindex0 }}{{ loop.nextitem }} {% endfor %}", "1/21b 2/20 "),
		("{% set x %}<{{ bos_token }}>{% endset %}{{ x }}{{ x|length }}", "<<s>>5"),
		("{% filter upper|trim %} ab {% endfilter %}", "AB"),
		("{% with a = 1, b = 2 %}{{ a + b }}{% endwith %}{{ a is defined }}", "3False"),
		("{% macro say(what, n=2) %}{{ what * n }}{% endmacro %}{{ say('a') }}{{ say('b', n=1) }}{{ say(n=3, what='c') }}", "aabccc"),
		("{% set top = 't' %}{% macro m() %}{{ top }}{{ inner is defined }}{% endmacro %}{% for inner in [1] %}{{ m() }}{% endfor %}", "tFalse"),
		("{% macro down(n) %}{{ n }}{% if n > 0 %}{{ down(n - 1) }}{% endif %}{% endmacro %}{{ down(5) }}", "543210"),
		("{% set ns = namespace(n=0) %}{% for i in range(4) %}{% set ns.n = ns.n + i %}{% endfor %}{{ ns.n }}", "6"),
	] {
		assert_eq!(rendered(source), text, "{source}");
	}
}

#[test]
fn filters_tests_and_methods_do_what_their_names_say() {
	for (source, text) in [
		("{{ ' a '|trim }}|{{ 'xaxx'.strip('x') }}|{{ 'xax'.lstrip('x') }}|{{ 'a\n'.rstrip() }}", "a|a|ax|a"),
		("{{ missing|default('d') }}{{ ''|default('e', true) }}{{ 'f'|d('g') }}", "def"),
		("{{ 'Äb'|upper }}{{ '漢字b'|upper }}{{ 'hELLO'|capitalize }}", "ÄB漢字BHello"),
		("{{ 'a-b'.replace('-', '+') }}{{ 'a,b,c'.split(',')|join('') }}{{ 'a,b,c'.split(',', 1)[1] }}{{ ' x  y '.split()|length }}", "a+babcb,c2"),
		("{{ [{'a': 1}, {'a': 2}]|map(attribute='a')|join('+') }}{{ ['a', 'b']|map('upper')|join }}", "1+2AB"),
		("{{ [{'a': 1}, {'a': 2}]|selectattr('a', 'equalto', 2)|list|length }}{{ [0, 1]|select|list|length }}{{ [{'a': 1}]|rejectattr('a')|list|length }}", "110"),
		("{{ {'a': [1, true, none, 'ü\"'], 'b': {}}|tojson }}", "{\"a\": [1, true, null, \"ü\\\"\"], \"b\": {}}"),
		("{{ {'a': 1}.get('b', 2) }}{{ {'a': 1}.keys()|join }}{{ {'a': 1, 'a': 3}.values()|join }}", "2a3"),
		("{{ [3, 1]|first }}{{ [3, 1]|last }}{{ [3, 1]|reverse|join }}{{ '12'|int + 1 }}{{ 5|string ~ '' }}", "3113135"),
		("{{ 1 is odd }}{{ 'a' is mapping }}{{ messages is iterable }}{{ none is none }}{{ 6 is divisibleby 3 }}", "TrueFalseTrueTrueTrue"),
		("{{ dict(a=1).a }}{{ range(3, 0, -1)|join }}{{ 'abc' is string and 'x' is not none }}", "1321True"),
	] {
		assert_eq!(rendered(source), text, "{source}");
	}
}

/// Python would change these letters, by the Unicode of its version.
#[test]
fn letters_outside_ascii_that_would_change_are_refused_by_name() {
	for (source, word) in [
		("{{ 'ä'|upper }}", "letter ä"),
		("{{ 'ÄB'.lower() }}", "letter Ä"),
		("{{ 'éclair'|capitalize }}", "letter é"),
		("{{ 'aÉ'|title }}", "letter É"),
		("{{ 'ß'|upper }}", "letter ß"),
		("{{ ['Ä', 'b']|sort|join }}", "case_sensitive=true"),
	] {
		let error = reason(source);
		assert!(error.contains(word), "{source}: {error}");
	}
	assert_eq!(rendered("{{ ['b', 'Ä']|sort(case_sensitive=true)|join }}"), "bÄ");
}

/// Returns how many steps the statements of a template take: what is left of the budget beside the longest padding.
fn steps(source: &str) -> usize {
	const BUDGET: usize = 1_000_000;
	let fits = |padding: usize| render(&format!("{{% set pad = 'x' * {padding} %}}{source}"), "hi").is_ok();
	let (mut fit, mut too_long) = (0, BUDGET);
	assert!(fits(fit) && !fits(too_long));
	while too_long - fit > 1 {
		let middle = (fit + too_long) / 2;
		if fits(middle) {
			fit = middle;
		} else {
			too_long = middle;
		}
	}
	// The template; the padding: a statement, an operation, a text of one byte, a number.
	BUDGET - fit - 1 - (1 + 1 + 2 + 1)
}

/// The numbers are reckoned from the table of `docs/spec/c2.md` §4.2: a model's refusal is an answer that is voted on.
#[test]
fn steps_are_counted_as_the_specification_says() {
	for (source, counted) in [
		("abc", 1 + 3),
		("{{ 'ab' }}", 1 + 3 + 2),
		("{{ bos_token }}", 1 + 1 + 1 + 3),
		("{% for i in [1, 2] %}x{% endfor %}", 1 + 3 + 2 * (1 + 1 + 1)),
		(
			"{% for i in 'aé' %}{{ i }}{% endfor %}",
			1 + 4 + 6 + (1 + 1 + 1 + 2 + 1) + (1 + 1 + 1 + 2 + 2),
		),
		("{% for i in range(3) %}{% endfor %}", 1 + 1 + 1 + 1 + 3 + 3),
		("{% set a, b = [1, 2] %}", 1 + 3 + 2),
		("{% if false %}{% elif true %}a{% endif %}", 2 + 2 + 2),
		("{{ 'abcd'[1:3] }}", 1 + 1 + 5 + 2 + 8 + 4 + 2 * 2 + 2),
		("{{ {'a': 1}.a }}", 1 + 1 + 4 + 1 + 1),
		("{{ 'é'[0] }}", 1 + 1 + 3 + 1 + 2 + 2),
		("{{ 'ab' ~ 1 }}", 1 + 1 + 3 + 1 + 3 + 3),
		("{{ 'ab' == 'abc' }}", 1 + 1 + 3 + 4 + 3 + 5),
		("{{ [1, 2, 4] == [1, 3, 4] }}", 1 + 1 + 4 + 4 + 3 + 5),
		("{{ {'a': 1} == {'a': 1} }}", 1 + 1 + 4 + 4 + 3 + 4),
		("{{ 'a' < 'bc' }}", 1 + 1 + 2 + 3 + 1 + 4),
		("{{ 'b' in 'abc' }}", 1 + 1 + 2 + 4 + 4 + 4),
		("{{ 'a' in {'a': 1, 'b': 2} }}", 1 + 1 + 2 + 7 + 2 + 4),
		("{{ 2 in [1, 2, 3] }}", 1 + 1 + 1 + 4 + 2 + 4),
		("{{ ['a', 'b']|join('--') }}", 1 + 1 + 5 + 3 + 2 + 2 * 4 + 4),
		("{{ 'ab'|reverse }}", 1 + 1 + 3 + 4 + 2 + 2 * 2 + 2),
		("{{ 'ab'|upper|trim }}", 1 + 1 + 1 + 3 + 2 + 2 + 2),
		("{% filter upper|trim %}ab{% endfilter %}", 1 + 3 + 1 + 2 + 2 + 2),
		("{{ 'aXbX'.replace('X', 'yy') }}", 1 + 1 + 5 + 2 + 3 + 4 + 5 + 6),
		("{{ 'xax'.strip('xy') }}", 1 + 1 + 4 + 3 + 3 + 6 + 1),
		("{{ 'a b'.split()|length }}", 1 + 1 + 1 + 4 + 3 + 3 + 1),
		("{{ 'abc'|length }}", 1 + 1 + 4 + 3 + 1),
		("{{ {'a': 'b'}|tojson }}", 1 + 1 + 5 + (2 + 6 + 2 + 6) + 10),
		("{{ 'b\nc'|indent }}", 1 + 1 + 4 + 2 * (1 + 4 + 1) + 7),
		("{{ ['b', 'a']|sort|join }}", 1 + 1 + 1 + 5 + 4 * 2 + 2 + 2 * 2 + 2),
		("{{ [1]|tojson(indent=2) }}", 1 + 1 + 2 + 1 + (2 + (1 + 2) + 2 + 1) + 7),
		("{{ '{}'.format('ab') }}", 1 + 1 + 3 + 3 + 2 + 2 + 2),
		("{{ '<'|safe + '&' }}", 1 + 1 + 1 + 2 + 2 + (1 + 5) + 6),
		("{% generation %}a{% endgeneration %}", 1 + 1 + 1),
		("{% do 'a'.upper() %}", 1 + 2 + 1),
		(
			"{% macro m(a, b='y') %}{{ a }}{{ b }}{% endmacro %}{{ m('x') }}",
			1 + (1 + 1 + 1 + 2) + 2 + 2 * (1 + 1 + 2 + 1) + 2,
		),
		(
			"{% macro m(b=bos_token) %}{% endmacro %}{% for i in [1] %}{% do m() %}{% endfor %}",
			1 + (1 + 2) + 1 + (1 + 2) + (1 + 1),
		),
		(
			"{{ [{'a': 1}]|selectattr('a', 'eq', 1)|length }}",
			1 + 1 + 1 + 5 + 6 + (1 + 1 + 1) + 1,
		),
	] {
		assert_eq!(steps(source), counted, "{source}");
	}
}

#[test]
fn what_a_template_must_not_do_has_a_reason() {
	for (source, why) in [
		("{{ raise_exception('only one turn') }}", "refuses: only one turn"),
		(
			"{{ strftime_now('%d') }}",
			"`strftime_now` can't be called: it is something undefined",
		),
		("{% include 'file' %}", "unknown statement include"),
		("{% import 'file' as f %}", "unknown statement import"),
		("{% extends 'file' %}", "unknown statement extends"),
		(
			"a\n\n{{ missing.attribute }}",
			"line 3: `attribute` is asked of something undefined",
		),
		("{{ 'a' + 1 }}", "no meaning between a text and a number"),
		("{{ 1.5 }}", "fractions"),
		("{{ 2 ** 9 }}", "no meaning"),
		("{{ 9223372036854775807 + 1 }}", "64 bits"),
		("{{ 1 // 0 }}{{ 1 % 0 }}", "divided by zero"),
		("{{ messages }}", "a list has no written form"),
		("{{ 'x'|center(2) }}", "the filter `center` is not part"),
		("{{ 'x'.zfill(1) }}", "`zfill` is not a method of a text"),
		("{{ 'x' is callable }}", "the test `callable` is not part"),
		(
			"{% set x = [loop_of] %}{% macro m() %}{% endmacro %}{{ [m] }}",
			"a macro can't be kept inside another value",
		),
		(
			"{% for i in [1] recursive %}{{ loop([2]) }}{% endfor %}",
			"recursive loops",
		),
		("{% call f() %}{% endcall %}", "`call` blocks"),
		("{% autoescape true %}{% endautoescape %}", "`autoescape`"),
		("{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}", "`m` takes 1 arguments"),
		(
			"{% for i in [1] %}{% set x %}{% break %}{% endset %}{% endfor %}",
			"can't leave a captured block",
		),
		("{{ 'a'[::0] }}", "step 0"),
		("{{ 'a", "syntax error"),
	] {
		let found = reason(source);
		assert!(found.contains(why), "{source}: {found}");
	}
}

/// What other engines' users met, and Jinja's own answer to each.
#[test]
fn the_corners_of_jinja_are_as_in_python() {
	for (source, text) in [
		("a\r\nb\rc\n\r\n", "a\nb\nc\n"),
		("{% if true %}\r\nx{% endif %}\r", "x"),
		("{{ 'a\r\nb' }}", "a\nb"),
		("{% generation %}a{% set x = 1 %}{% endgeneration %}{{ x is defined }}", "aFalse"),
		("  {%- generation -%}  a  {%- endgeneration -%}  ", "a"),
		("{# {% generation %} #}{% raw %}{% generation %}{% endraw %}{{ '{% generation %}' }}", "{% generation %}{% generation %}"),
		("{{ \"they're BILL's friends x2y\".title() }}{{ 'ab cd'|title }}", "They'Re Bill'S Friends X2YAb Cd"),
		("{{ 'x' in missing }}{{ 'x' not in missing }}{{ missing is iterable }}", "FalseTrueTrue"),
		("{{ none|trim }}{{ none|upper }}{{ none|string }}{{ none|default('d') }}{{ none|tojson }}{{ none|int }}", "NoneNONENoneNonenull0"),
		("{{ none|selectattr('a')|list|length }}{{ none|map('upper')|list|length }}{{ missing|reject|list|length }}", "000"),
		("{% set a = namespace(n=1) %}{% for b in [a, {'k': a}.k] %}{% set b.n = b.n + 1 %}{% endfor %}{{ a.n }}", "3"),
		("{% set a = namespace() %}{% set a.self = a %}{% set a.all = [a] %}{{ a.self.all[0] == a }}{{ namespace() == a }}", "TrueFalse"),
		("<{{ '\u{1c}\u{1f}\u{85} a \u{1e}'.strip() }}><{{ 'a\u{1d}b\u{1f}c'.split()|join(',') }}>", "<a><a,b,c>"),
		("{{ {'a': 1, 'b': 2, 'a': 3}|tojson }}{{ {1: 'x', 2: 'y'}[2] }}{{ 1 in {1: 2} }}", "{\"a\": 3, \"b\": 2}yTrue"),
		("{{ {'b': [1, {}], 'a': 'é'}|tojson(indent=2, sort_keys=true, ensure_ascii=true) }}", "{\n  \"a\": \"\\u00e9\",\n  \"b\": [\n    1,\n    {}\n  ]\n}"),
		("{{ [1, 2]|tojson(separators=(',', ':')) }}{{ '\u{1F600}\u{7f}'|tojson(ensure_ascii=true) }}", "[1,2]\"\\ud83d\\ude00\u{7f}\""),
		("{% for k, v in {'B': 1, 'a': 2}|dictsort %}{{ k }}{{ v }}{% endfor %}{{ [3, 1, 2]|sort(reverse=true)|join }}", "a2B1321"),
		("{{ [{'n': {'m': 2}}, {'n': {'m': 1}}]|sort(attribute='n.m')|map(attribute='n.m')|join }}{{ [3, 1]|min }}{{ ['b', 'A']|max }}", "121b"),
		("{{ 'a\n\nb'|indent }}|{{ 'a\nb'|indent(2, first=true) }}|{{ 'a\n\nb'|indent(1, blank=true) }}", "a\n\n    b|  a\n  b|a\n \n b"),
		("{{ '{}-{{}}-{}'.format('a', 1) }}{{ '{1}{0}'.format('a', 'b') }}", "a-{}-1ba"),
		("{{ '<'|safe + '&' }}{{ '&' + '<'|safe }}{{ '<' ~ '&'|safe }}{{ '&'|safe is string }}", "<&amp;&amp;<<&True"),
		("{{ 'a\rb\u{2028}c\r\n\nd'.splitlines()|join('|') }}", "a|b|c||d"),
	] {
		assert_eq!(rendered(source), text, "{source}");
	}
}

#[test]
fn conversations_reach_a_template_as_transformers_hands_them_over() {
	let render = |source: &str, chat: &str| Template::parse(source.as_bytes())?.render_variables(&variables(chat));
	let whole = "{{ messages|tojson }}{{ tools is none }}{{ add_generation_prompt }}{{ flag }}";
	let chat = r#"{ "messages": [{ "role": "assistant", "content": null, "reasoning": "why" }],
		"add_generation_prompt": false, "flag": 7 }"#;
	let rendered =
		r#"[{"thinking": "why", "role": "assistant", "reasoning": "why", "reasoning_content": "why"}]TrueFalse7"#;
	assert_eq!(render(whole, chat).unwrap(), rendered);
}

/// Writes what it knows: roles, texts, calls, tools, and one variable.
const KNOWING: &str = "{% if tools %}{{ tools|tojson }}{% endif %}{% for m in messages if m.role != 'developer' %}<{{ m.role }}>\
	{% if m.content is string %}{{ m.content|trim if m.role != 'tool' else m.content|tojson }}{% elif m.content %}{{ m.content[0].text }}{% endif %}\
	{% for c in m.tool_calls or [] %}{{ c.function.name }}{% endfor %}{% endfor %}{{ 'T' if enable_thinking }}";
/// Writes user messages and nothing else.
const SIMPLE: &str = "{% set eos_token = '.' %}{% for m in messages %}{% if m.content is string %}{{ m.content }}{{ eos_token }}{% endif %}{% endfor %}";

fn of_chat(source: &str, chat: &str) -> Result<String> {
	Template::parse(source.as_bytes())
		.unwrap()
		.render_chat(&Chat::parse(chat.as_bytes()).unwrap())
}

#[test]
fn a_conversation_that_is_written_whole_is_a_prompt() {
	let tool = |name: &str| {
		format!(r#"{{"type": "function", "function": {{"name": "{name}", "parameters": {{"minimum": 0.5}}}}}}"#)
	};
	let called = format!(
		r#"{{"messages": [
			{{"role": "system", "content": " Be brief.\n"}},
			{{"role": "user", "content": [{{"type": "text", "text": "Weather?"}}]}},
			{{"role": "assistant", "content": null, "tool_calls": [
				{{"id": "c", "type": "function", "function": {{"name": "look", "arguments": "{{}}"}}}}]}},
			{{"role": "tool", "tool_call_id": "c", "content": "\"sunny\"\n"}},
			{{"role": "user", "content": "  "}}
		], "tools": [{}], "chat_template_kwargs": {{"enable_thinking": true}}}}"#,
		tool("look")
	);
	assert_eq!(
		of_chat(KNOWING, &called).unwrap(),
		"[{\"type\": \"function\", \"function\": {\"name\": \"look\", \"parameters\": {\"minimum\": 0.5}}}]<system>Be brief.\
		<user>Weather?<assistant>look<tool>\"\\\"sunny\\\"\\n\"<user>T"
	);
	let unwanted = format!(
		r#"{{"messages": [{{"role": "user", "content": "hi"}}], "tools": [{}], "tool_choice": "none"}}"#,
		tool("look")
	);
	assert_eq!(of_chat(SIMPLE, &unwanted).unwrap(), "hi.");
}

#[test]
fn what_a_template_leaves_out_is_named() {
	let look = r#"{"type": "function", "function": {"name": "look"}}"#;
	let calls = r#"{"role": "assistant", "content": "hi", "tool_calls": [
		{"id": "c", "type": "function", "function": {"name": "look", "arguments": {}}}]}"#;
	for (source, chat, part) in [
		(KNOWING, r#"{"messages": [{"role": "user", "content": "a"}, {"role": "developer", "content": "b"}]}"#.to_owned(), "messages[1]"),
		(
			KNOWING,
			r#"{"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}]}"#.into(),
			"messages[0].content[1]",
		),
		(SIMPLE, format!(r#"{{"messages": [{{"role": "user", "content": "look"}}, {calls}]}}"#), "messages[1].tool_calls[0]"),
		// The name alone is no sign: a message has it too.
		(
			SIMPLE,
			format!(r#"{{"messages": [{{"role": "user", "content": "look"}}], "tools": [{look}]}}"#),
			"tools[0]",
		),
		(
			"{{ tools[1:]|tojson }}{% for m in messages %}{{ m.content }}{% endfor %}",
			format!(r#"{{"messages": [{{"role": "user", "content": "x"}}], "tools": [{look}, {}]}}"#, look.replace("look", "go")),
			"tools[0]",
		),
		(
			SIMPLE,
			r#"{"messages": [{"role": "user", "content": "a"}], "chat_template_kwargs": {"enable_thinking": false}}"#.into(),
			"enable_thinking",
		),
		// Assigned to and attributes are no variables; and special tokens are the template's own.
		(
			"{% set mode = 1 %}{% for m in messages %}{{ m.content }}{{ m.mode }}{% endfor %}",
			r#"{"messages": [{"role": "user", "content": "a"}], "chat_template_kwargs": {"mode": 2}}"#.into(),
			"mode",
		),
		(
			SIMPLE,
			r#"{"messages": [{"role": "user", "content": "a"}], "chat_template_kwargs": {"eos_token": "!"}}"#.into(),
			"eos_token",
		),
	] {
		match of_chat(source, &chat) {
			Err(Error::LeftOut(found)) => assert_eq!(found, part, "{chat}"),
			other => panic!("{chat}: {other:?}"),
		}
	}
}

#[test]
fn fractions_are_written_and_compared_and_not_reckoned_with() {
	let with = |source: &str| {
		let all = variables(r#"{"messages": [], "x": 0.5, "one": 1.0, "small": 1e-7, "zero": 0.0, "big": 1e16}"#);
		let source = source::checked(source.as_bytes()).unwrap();
		Template { source }.render_variables(&all).map_err(|e| e.to_string())
	};
	for (source, text) in [
		("{{ x }} {{ one }} {{ small }} {{ big }} {{ zero }}", "0.5 1.0 1e-07 1e+16 0.0"),
		("{{ {'a': [x, one, small]}|tojson }}{{ x ~ '!' }}{{ one|string }}{{ '{}'.format(x) }}{{ [x, 1]|join(',') }}", "{\"a\": [0.5, 1.0, 1e-07]}0.5!1.00.50.5,1"),
		("{{ one == 1 }}{{ x < 1 }}{{ 0 < small < x }}{{ x in [one, x] }}{{ x != x }}{{ [1] == [one] }}", "TrueTrueTrueTrueFalseTrue"),
		("{{ 'a' if x }}{{ 'b' if zero }}{{ x is number }}{{ x is float }}{{ x is integer }}{{ 1 is float }}{{ x is string }}", "aTrueTrueFalseFalseFalse"),
		("{{ x|int }}{{ one|int + 1 }}{{ x|default(3) }}{{ zero|default(3, true) }}", "020.53"),
	] {
		assert_eq!(with(source).as_deref(), Ok(text), "{source}");
	}
	for source in [
		"{{ x + 1 }}",
		"{{ 2 * x }}",
		"{{ x // x }}",
		"{{ -x }}",
		"{{ one is odd }}",
		"{{ one is divisibleby 1 }}",
	] {
		assert!(
			with(source).unwrap_err().contains("arithmetic on fractions"),
			"{source}"
		);
	}
	for (source, why) in [
		("{{ 'a' + x }}", "no meaning between a text and a fraction"),
		("{{ [x]|sort }}", "a fraction is not sorted by"),
		("{{ {x: 1} }}", "a fraction can't be the key of a map"),
		("{{ range(one) }}", "counts numbers, not a fraction"),
		("{{ x.real is defined }}{{ x|length }}", "a fraction has no length"),
	] {
		let found = with(source).unwrap_err();
		assert!(found.contains(why), "{source}: {found}");
	}
}

/// Namespaces may hold each other; none of them outlives the rendering, and a long row of them is no deep recursion.
#[test]
fn namespaces_in_circles_and_in_rows_end_with_the_rendering() {
	let row = "{% set ns = namespace() %}{% for i in range(9000) %}{% set next = namespace() %}{% set next.before = ns.last %}\
		{% set ns.last = next %}{% endfor %}{{ ns.last is defined }}";
	assert_eq!(rendered(row), "True");
}
