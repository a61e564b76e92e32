"use strict";
// Before anything is painted: the reader's own choice of theme, if there is one.
try {
  const chosen = localStorage.getItem("orch-theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch { /* storage is off: the system's theme it is */ }
