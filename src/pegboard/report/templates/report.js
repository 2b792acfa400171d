// What the page can do with a script: switch models, sort tables, open the photos of a cell.
// Everything else is there without it. Names of classes and files are only ever set as text.
(() => {
  'use strict';
  const root = document.documentElement;
  root.classList.add('js');
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const byId = (id) => document.getElementById(id);
  const store = JSON.parse(byId('photos').textContent);

  // Models: tabs, as in the ARIA Authoring Practices, with automatic activation.

  const tabs = all('[data-tab]');
  const panels = tabs.map((tab) => byId(tab.dataset.tab));

  const select = (index, focus = false) => {
    tabs.forEach((tab, place) => {
      const chosen = place === index;
      tab.setAttribute('aria-selected', String(chosen));
      tab.tabIndex = chosen ? 0 : -1;
      panels[place].classList.toggle('shown', chosen);
    });
    if (focus) tabs[index].focus();
  };

  const selectAnchor = (anchor) => {
    const index = tabs.findIndex((tab) => tab.dataset.tab === anchor);
    if (index >= 0) select(index);
    return index >= 0;
  };

  const makeTabs = () => {
    const list = byId('model-tabs');
    if (!list) return;
    list.setAttribute('role', 'tablist');
    list.setAttribute('aria-labelledby', 'models-title');
    root.classList.add('tabbed');
    tabs.forEach((tab, index) => {
      tab.setAttribute('role', 'tab');
      tab.setAttribute('aria-controls', tab.dataset.tab);
      panels[index].setAttribute('role', 'tabpanel');
      panels[index].setAttribute('aria-labelledby', tab.id);
      tab.addEventListener('click', (event) => {
        event.preventDefault();
        select(index);
        history.replaceState(null, '', '#' + tab.dataset.tab);
      });
      tab.addEventListener('keydown', (event) => {
        const places = {
          ArrowLeft: (index + tabs.length - 1) % tabs.length,
          ArrowRight: (index + 1) % tabs.length,
          Home: 0,
          End: tabs.length - 1,
          ' ': index,
        };
        if (!(event.key in places)) return;
        event.preventDefault();
        select(places[event.key], true);
      });
    });
    select(0);
  };

  // Tables that are sorted by pressing a heading.

  const valueOf = (row, column) => {
    const cell = row.cells[column];
    if (cell.dataset.exact !== undefined) return Number(cell.dataset.exact);
    return cell.classList.contains('number') ? null : cell.textContent.trim();
  };

  const compare = (one, other, sign) => {
    // What is not known stays last, whichever way the others stand.
    if (one === null || other === null) return (one === null) - (other === null);
    if (typeof one === 'number') return sign * (one - other);
    return sign * one.localeCompare(other);
  };

  const sortBy = (heading) => {
    const table = heading.closest('table');
    const column = heading.cellIndex;
    const now = heading.getAttribute('aria-sort');
    const turned = { ascending: 'descending', descending: 'ascending' };
    const order = now ? turned[now] : heading.dataset.sort;
    all('th[aria-sort]', table).forEach((other) => other.removeAttribute('aria-sort'));
    heading.setAttribute('aria-sort', order);
    const sign = order === 'ascending' ? 1 : -1;
    const rows = all('tbody tr', table).map((row) => [valueOf(row, column), row]);
    rows.sort((one, other) => compare(one[0], other[0], sign));
    table.tBodies[0].append(...rows.map((entry) => entry[1]));
  };

  const makeSortable = (heading) => {
    const button = document.createElement('button');
    button.type = 'button';
    button.className = 'sort';
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener('click', () => sortBy(heading));
  };

  // The confusion matrix: counts or shares, and the order of classes. One choice for all models.

  const reorder = (table, places) => {
    const order = [0, ...places.map((place) => place + 1), places.length + 1];
    all('tr', table).forEach((row) => {
      row.given = row.given || [...row.cells];
      row.append(...order.map((place) => row.given[place]));
    });
    const body = table.tBodies[0];
    body.given = body.given || [...body.rows];
    body.append(...places.map((place) => body.given[place]));
  };

  const turn = (kind, value) => {
    all(`input[data-switch="${kind}"]`).forEach((input) => {
      input.checked = input.value === value;
    });
    if (kind === 'cells') {
      root.classList.toggle('percent', value === 'percent');
      return;
    }
    all('table.matrix').forEach((table) => {
      const similar = table.dataset.similarity.split(' ').map(Number);
      reorder(table, value === 'similarity' ? similar : similar.map((_, place) => place));
    });
  };

  // The photos of a cell.

  const dialog = byId('cell-dialog');
  const list = byId('cell-photos');
  const more = byId('cell-more');
  const AT_ONCE = 60;
  let opener = null;
  let waiting = [];

  const percent = (share) => {
    if (share > 0 && share < 0.001) return '<\u00a00.1\u00a0%';
    if (share > 0.999 && share < 1) return '>\u00a099.9\u00a0%';
    return (100 * share).toFixed(1) + '\u00a0%';
  };

  const make = (tag, className, text) => {
    const element = document.createElement(tag);
    if (className) element.className = className;
    if (text !== undefined) element.textContent = text;
    return element;
  };

  const named = (className, text) => {
    const line = make('span', className);
    line.append(make('bdi', '', text));
    return line;
  };

  const photoOf = (photo, answer) => {
    const figure = make('figure', 'photo');
    const kept = photo.picture && byId(photo.picture);
    if (kept) {
      const image = make('img', 'thumb');
      image.src = kept.getAttribute('href');
      image.alt = 'Photo of ' + store.classes[photo.true];
      figure.append(image);
    } else {
      figure.append(make('span', 'thumb none'));
    }
    const words = make('figcaption');
    const wanted = [photo.true, answer[0][0]];
    answer.filter((pair, place) => place < 3 || wanted.includes(pair[0])).forEach((pair) => {
      const line = named('line', `${store.classes[pair[0]]} ${percent(pair[1])}`);
      if (wanted.includes(pair[0])) line.classList.add('strong');
      words.append(line);
    });
    const path = named('path', photo.path);
    path.title = photo.path;
    words.append(path);
    figure.append(words);
    return figure;
  };

  const showMore = () => {
    list.append(...waiting.splice(0, AT_ONCE).map((entry) => photoOf(...entry)));
    more.hidden = waiting.length === 0;
  };

  const quoted = (word) => {
    if (/^[\w@%+=:,./-]+$/.test(word)) return word;
    return "'" + word.replaceAll("'", "'\"'\"'") + "'";
  };

  // The page does not know where it lies until it is opened there.
  const runFolder = () => {
    if (location.protocol !== 'file:') return 'RUN';
    const folder = plain(location.pathname).replace(/\/[^/]*$/, '') || '/';
    return /^\/[A-Za-z]:/.test(folder) ? folder.slice(1) : folder;
  };

  const fragmentOf = (model, cell) =>
    '#cell=' + [model, ...cell].map((part) => encodeURIComponent(part)).join('/');

  const open = (model, truth, predicted, button) => {
    const place = store.models.findIndex((entry) => entry.id === model);
    const names = [store.classes[truth], store.classes[predicted]];
    if (place < 0 || names.includes(undefined)) return;
    selectAnchor(model);
    const probability = (entry) => entry[1][0][1];
    waiting = Object.values(store.photos)
      .map((photo) => [photo, photo.answers[place]])
      .filter(([photo, answer]) => photo.true === truth && answer[0][0] === predicted)
      .sort((one, other) => probability(other) - probability(one));
    const cell = all(`[data-cell][data-model="${model}"]`).find((each) =>
      each.dataset.true === String(truth) && each.dataset.predicted === String(predicted));
    opener = button || cell || null;
    const right = truth === predicted;
    byId('cell-title').textContent =
      right ? `${names[0]}, recognised` : `${names[0]}, taken for ${names[1]}`;
    byId('cell-note').textContent = `Answers of ${store.models[place].name} to test photos: `
      + `${waiting.length} on this page, the surest first.`;
    // The command goes through the answers of the best model, whichever cell was pressed.
    byId('cell-review').hidden = !byId(model).classList.contains('best');
    byId('cell-command').textContent =
      `pegboard review ${quoted(runFolder())} --cell ${quoted(names.join(','))}`;
    byId('cell-copied').textContent = '';
    list.replaceChildren();
    showMore();
    if (!dialog.open) dialog.showModal();
    dialog.scrollTop = 0;
    history.replaceState(null, '', fragmentOf(store.models[place].name, names));
  };

  const close = () => {
    history.replaceState(null, '', location.pathname + location.search);
    list.replaceChildren();
    if (opener) opener.focus();
    opener = null;
  };

  const copy = async () => {
    const command = byId('cell-command');
    let done = false;
    try {
      await navigator.clipboard.writeText(command.textContent);
      done = true;
    } catch {
      getSelection().selectAllChildren(command);
      done = document.execCommand('copy');
    }
    byId('cell-copied').textContent = done ? 'Copied' : 'Selected: copy it with the keyboard';
  };

  // The address: a section, a model, or a cell.

  const plain = (part) => {
    try {
      return decodeURIComponent(part);
    } catch {
      return '';
    }
  };

  const follow = () => {
    if (!location.hash.startsWith('#cell=')) {
      const target = byId(plain(location.hash.slice(1)));
      const panel = target && target.closest('.model');
      if (panel && selectAnchor(panel.id)) target.scrollIntoView();
      return;
    }
    const parts = location.hash.slice('#cell='.length).split('/').map(plain);
    const model = store.models.find((entry) => entry.name === parts[0]);
    if (model) open(model.id, store.classes.indexOf(parts[1]), store.classes.indexOf(parts[2]));
  };

  makeTabs();
  all('th[data-sort]').forEach(makeSortable);
  document.addEventListener('click', (event) => {
    const button = event.target.closest('[data-cell]');
    if (!button) return;
    open(button.dataset.model, Number(button.dataset.true), Number(button.dataset.predicted), button);
  });
  document.addEventListener('change', (event) => {
    if (event.target.dataset.switch) turn(event.target.dataset.switch, event.target.value);
  });
  dialog.addEventListener('close', close);
  dialog.addEventListener('click', (event) => {
    if (event.target === dialog) dialog.close();
  });
  more.addEventListener('click', showMore);
  byId('cell-copy').addEventListener('click', copy);
  addEventListener('hashchange', follow);
  follow();
})();
