//! Starts the page.

import { render } from 'preact';
import { App } from './app';
import { loadConfig } from './settings';
import './style.css';

const root = document.getElementById('page');
if (root) {
	const config = await loadConfig();
	root.textContent = '';
	render(<App config={config} />, root);
}
