/** Verifies an Assay receipt file with no network. `docs/spec/receipt.md` specifies how. */

export { type Anchor, readAnchor } from "./anchor.js";
export { readChainSpec } from "./chain-spec.js";
export { type Authority } from "./header.js";
export { type Reason, Refusal } from "./refusal.js";
export { type Options, type Outcome, type Report, type Step, type StepId, STEPS, verify, verifySteps } from "./verify.js";
