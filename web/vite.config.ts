import { defineConfig } from 'vite';

export default defineConfig({
	base: './',
	resolve: {
		// The light client's Wasm is in the worker. What imports `smoldot` beside it takes only its errors, not 2 MB more.
		alias: [{ find: /^smoldot$/, replacement: 'smoldot/no-auto-bytecode' }],
	},
	build: {
		target: 'es2022',
		assetsInlineLimit: 0, // the policy of the server allows no data: URLs
		modulePreload: { polyfill: false },
		chunkSizeWarningLimit: 4_096, // the light client
		reportCompressedSize: false,
	},
	worker: { format: 'es' },
});
