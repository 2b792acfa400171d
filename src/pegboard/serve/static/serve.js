// Takes a photo however it comes, asks about it, and shows the answer.
(() => {
  'use strict';
  const byId = (id) => document.getElementById(id);
  const settings = JSON.parse(byId('settings').textContent);
  const words = settings.words;
  const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, key) => values[key]);
  const shares = new Intl.NumberFormat(settings.language, { style: 'percent', maximumFractionDigits: 1 });
  // Nothing short of it is called 100 %.
  const percent = (share) => shares.format(Math.floor(1000 * share + 1e-9) / 1000);
  let photo = null;   // what was asked about last
  let asked = 0;      // answers to what was asked before are not shown any more
  let stream = null;

  // --- asking ---------------------------------------------------------------------------

  const spoken = { 401: 'no_key', 403: 'no_key', 413: 'too_large', 422: 'no_photo', 503: 'busy' };

  // The server speaks English; what it says more exactly is kept for those who do.
  const why = async (answer) => {
    const said = fill(words[spoken[answer.status] || 'refused'], { status: answer.status });
    if (settings.language !== 'en' || answer.status === 401) return said;
    try { return (await answer.json()).detail || said; } catch { return said; }
  };

  const tell = (text) => { byId('said').textContent = text; };

  const trouble = (text) => {
    byId('trouble').textContent = text;
    byId('trouble').hidden = !text;
    if (!text) return;
    tell('');
    byId('trouble').scrollIntoView({ block: 'nearest' });
  };

  const send = async (url, options) => {
    let answer;
    try { answer = await fetch(url, { method: 'POST', credentials: 'same-origin', ...options }); } catch { throw new Error(words.unreachable); }
    if (!answer.ok) throw new Error(await why(answer));
    return answer;
  };

  const ask = async (file) => {
    if (!file) { trouble(fill(words.failed, { why: words.no_photo })); return; }
    const number = ++asked;
    trouble('');
    tell(words.working);
    document.documentElement.setAttribute('aria-busy', 'true');
    try {
      const answer = await send('/v1/predict?top=5', { body: file });
      const row = (await answer.json()).photos[0];
      if (number !== asked) return;
      photo = file;
      show(row);
      explain(file, row.label, number);
    } catch (error) {
      if (number !== asked) return;
      byId('answer').hidden = true;
      trouble(fill(words.failed, { why: error.message }));
    } finally {
      if (number === asked) document.documentElement.removeAttribute('aria-busy');
    }
  };

  const showPicture = (image, blob) => {
    if (image.src.startsWith('blob:')) URL.revokeObjectURL(image.src);
    image.src = URL.createObjectURL(blob);
    image.hidden = false;
  };

  const show = (row) => {
    showPicture(byId('photo'), photo);
    const probability = percent(row.probability);
    byId('label').textContent = row.label;
    byId('probability').textContent = probability;
    byId('decision').textContent = words[row.decision];
    byId('decision').className = `badge ${row.decision}`;
    const reason = row.decision === 'unsure' && settings.limit === null ? 'no_limit' : row.decision;
    byId('why').textContent = fill(words[`${reason}_why`], { precision: percent(settings.precision) });
    byId('others').replaceChildren(...row.top.slice(1).map(other));
    if (byId('correct')) { byId('correct').reset(); byId('other').hidden = true; byId('correction').open = false; }
    byId('answer').hidden = false;
    byId('label').focus();
    tell(fill(words.said, { label: row.label, probability, decision: words[row.decision] }));
  };

  const other = (candidate) => {
    const line = document.createElement('li');
    const [name, share, bar] = ['span', 'span', 'progress'].map((tag) => document.createElement(tag));
    name.textContent = candidate.label;
    share.textContent = percent(candidate.probability);
    bar.value = candidate.probability;
    bar.setAttribute('aria-hidden', 'true');
    line.append(name, share, bar);
    return line;
  };

  const explain = async (file, label, number) => {
    const said = byId('where-said');
    byId('where').hidden = false;
    byId('heat').hidden = true;
    byId('where').removeAttribute('data-drawn');
    said.textContent = words.where_working;
    try {
      const answer = await send(`/v1/explain?label=${encodeURIComponent(label)}`, { body: file });
      const picture = await answer.blob();
      if (number !== asked) return;
      showPicture(byId('heat'), picture);
      said.textContent = said.dataset.hint;
      byId('where').setAttribute('data-drawn', '');
    } catch {
      if (number === asked) said.textContent = words.where_failed;
    }
  };

  // --- how a photo comes ----------------------------------------------------------------

  const picture = (files) => Array.from(files || []).find((file) => file.type.startsWith('image/')) || (files && files[0]);

  byId('file').addEventListener('change', (event) => {
    if (event.target.files.length) ask(event.target.files[0]);
    event.target.value = '';
  });

  document.addEventListener('paste', (event) => {
    const files = event.clipboardData && event.clipboardData.files;
    if (files && files.length) { event.preventDefault(); ask(picture(files)); }
  });

  const drop = byId('drop');
  document.addEventListener('dragover', (event) => { event.preventDefault(); drop.classList.add('over'); });
  document.addEventListener('dragleave', (event) => { if (!event.relatedTarget) drop.classList.remove('over'); });
  document.addEventListener('drop', (event) => {
    event.preventDefault();
    drop.classList.remove('over');
    ask(picture(event.dataTransfer.files));
  });

  // --- the camera -----------------------------------------------------------------------

  const closeCamera = () => {
    if (stream) stream.getTracks().forEach((track) => track.stop());
    stream = null;
    byId('video').srcObject = null;
    byId('live').hidden = true;
    byId('camera').hidden = false;
  };

  byId('camera').addEventListener('click', async () => {
    trouble('');
    if (!navigator.mediaDevices) { trouble(words.camera_insecure); return; }
    byId('camera').disabled = true;  // a second stream would never be closed
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: 'environment', width: { ideal: 1280 } } });
      byId('video').srcObject = stream;
      await byId('video').play();
      byId('live').hidden = false;
      byId('camera').hidden = true;
      byId('snap').focus();
    } catch (error) {
      closeCamera();
      trouble(fill(words.camera_refused, { why: error.name }));
    } finally {
      byId('camera').disabled = false;
    }
  });

  byId('close').addEventListener('click', () => { closeCamera(); byId('camera').focus(); });

  byId('snap').addEventListener('click', () => {
    const video = byId('video');
    const canvas = document.createElement('canvas');
    canvas.width = video.videoWidth;
    canvas.height = video.videoHeight;
    canvas.getContext('2d').drawImage(video, 0, 0);
    canvas.toBlob((blob) => { closeCamera(); ask(blob); }, 'image/jpeg', 0.92);
  });

  // --- corrections ----------------------------------------------------------------------

  const form = byId('correct');
  if (form) {
    const isOther = () => byId('is').selectedOptions[0].hasAttribute('data-other');
    byId('is').addEventListener('change', () => {
      byId('other').hidden = !isOther();
      byId('is').required = !isOther();
      byId('other-label').required = isOther();
      if (isOther()) byId('other-label').focus();
    });
    form.addEventListener('submit', async (event) => {
      event.preventDefault();
      const label = isOther() ? byId('other-label').value : byId('is').value;
      const data = new FormData();
      data.append('photo', photo, 'photo');
      data.append('label', label);
      data.append('consent', byId('consent').checked ? 'yes' : 'no');
      try {
        await send('/feedback', { body: data, headers: { 'X-Pegboard-Token': settings.token } });
        trouble('');
        byId('correction').open = false;
        tell(fill(words.stored, { label }));
        byId('said').scrollIntoView({ block: 'nearest' });
      } catch (error) {
        trouble(fill(words.failed, { why: error.message }));
      }
    });
  }

  document.documentElement.setAttribute('data-ready', '');
})();
