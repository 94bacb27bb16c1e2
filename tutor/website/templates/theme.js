// Light or dark: what the system asks for, until the reader chooses. The choice is kept in this browser.
"use strict";

function chosenTheme() {
  try {
    return localStorage.getItem("theme");
  } catch {
    return null; // a browser that keeps nothing for files
  }
}

function showTheme(theme) {
  document.documentElement.dataset.theme = theme;
}

const systemTheme = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
showTheme(chosenTheme() ?? systemTheme);

addEventListener("DOMContentLoaded", () => {
  const button = document.getElementById("theme");
  const root = document.documentElement;
  button.setAttribute("aria-pressed", String(root.dataset.theme === "dark"));
  button.addEventListener("click", () => {
    const theme = root.dataset.theme === "dark" ? "light" : "dark";
    showTheme(theme);
    button.setAttribute("aria-pressed", String(theme === "dark"));
    try {
      localStorage.setItem("theme", theme);
    } catch {
      // nothing is kept, and the choice holds for this page
    }
  });
});
