// What pages do besides: every one works without. No framework; htmx does the rest.
(function () {
  "use strict";

  function copy(button) {
    var label = button.querySelector("span") || button;
    var before = label.textContent;
    navigator.clipboard.writeText(button.dataset.copy).then(function () {
      label.textContent = button.dataset.done;
      button.classList.add("done");
      setTimeout(function () {
        label.textContent = before;
        button.classList.remove("done");
      }, 1600);
    });
  }

  // What only scripts can do is shown only where they run.
  function enliven(root) {
    if (navigator.clipboard) {
      root.querySelectorAll("[data-copy]").forEach(function (button) { button.hidden = false; });
    }
    root.querySelectorAll(".tabs [aria-current]").forEach(function (one) {
      one.parentNode.scrollLeft = one.offsetLeft + one.offsetWidth / 2 - one.parentNode.clientWidth / 2;
    });
    if (matchMedia("(min-width: 56rem)").matches) {
      root.querySelectorAll("details[data-wide-open]").forEach(function (one) { one.open = true; });
    }
  }

  document.addEventListener("click", function (event) {
    var button = event.target.closest("[data-copy]");
    if (button) { copy(button); }
    document.querySelectorAll("details.menu[open]").forEach(function (menu) {
      if (!menu.contains(event.target)) { menu.open = false; }
    });
  });

  document.addEventListener("keydown", function (event) {
    if (event.key === "Escape") {
      document.querySelectorAll("details.menu[open]").forEach(function (menu) {
        menu.open = false;
        if (menu.contains(document.activeElement)) { menu.querySelector("summary").focus(); }
      });
      return;
    }
    var typing = /^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement.tagName);
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      var search = document.querySelector("[data-slash]");
      if (search) {
        event.preventDefault();
        search.focus();
      }
    }
  });

  document.addEventListener("htmx:load", function (event) { enliven(event.detail.elt); });
  enliven(document);
})();
