// The repository's documents, and the code in them.

import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = new URL('../../../', import.meta.url);

/// Returns the path of a file of the repository.
export const path = (name) => fileURLToPath(new URL(name, root));

/// Returns the text of a file of the repository.
export const read = (name) => readFileSync(path(name), 'utf8');

/// Returns the names of all documents that describe the chain as it is. Decisions (docs/adr) and the change log describe how
/// it was, and those of packages are tested by the packages.
export function documents() {
	const files = execFileSync('git', ['ls-files', '*.md'], { cwd: path('.'), encoding: 'utf8' });
	return files.split('\n').filter((name) => name && !/^(docs\/adr|web)\//.test(name) && name !== 'CHANGELOG.md');
}

/// Returns the code of a document's blocks of one language, without those that `<!-- not run: REASON -->` exempts.
export function blocks(text, language) {
	const fence = /(?:^<!-- not run: .+ -->\n\n)?^```(\w*)\n([\s\S]*?)^```$/gm;
	const found = [...text.matchAll(fence)].filter(([all, name]) => name === language && !all.startsWith('<!--'));
	return found.map(([, , code]) => code);
}

/// Returns a document without its blocks of code.
export const prose = (text) => text.replaceAll(/^```[\s\S]*?^```$/gm, '');

/// Returns the rows of a document's tables whose heading begins with these cells, each as a list of cells.
export function rows(text, ...heading) {
	const tables = text.matchAll(/^(\|.*)\n\|[-| ]+\|\n((?:\|.*\n?)+)/gm);
	const wanted = [...tables].filter(([, head]) => head.startsWith(`| ${heading.join(' | ')} |`));
	const lines = wanted.flatMap(([, , body]) => body.trimEnd().split('\n'));
	return lines.map((line) => line.split(/(?<!\\)\|/).slice(1, -1).map((cell) => cell.trim()));
}

/// Returns the texts between backquotes.
export const quoted = (text) => [...text.matchAll(/`([^`]+)`/g)].map(([, name]) => name);
