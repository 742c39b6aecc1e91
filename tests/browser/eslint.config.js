"use strict";
// `make lint`: the report's scripts, which share one page, and what drives browsers in tests.

const js = require("@eslint/js");
const globals = require("globals");

module.exports = [
  js.configs.recommended,
  {
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: { eqeqeq: "error", "no-var": "error", "prefer-const": "error" },
  },
  {
    files: ["report/*.js"],
    // Tests load browser.js as a module.
    languageOptions: { sourceType: "script", globals: { ...globals.browser, module: "readonly" } },
    rules: { strict: ["error", "global"] },
  },
  {
    // Some of these are functions that run in a page.
    files: ["tests/browser/*.js"],
    languageOptions: { sourceType: "commonjs", globals: { ...globals.node, ...globals.browser } },
  },
];
