"use strict";
// In the head: the chosen theme holds before anything is drawn.
(() => {
  let theme = null;
  try {
    theme = localStorage.getItem("deltatune-theme");
  } catch {
    // A page that may store nothing goes by the system.
  }
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
})();
