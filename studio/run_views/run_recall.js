() => {
  const runs = (window.reverieRuns ??= {}), key = 'KEY';
  try {
    runs[key] ??= sessionStorage.getItem(key) || '';
    sessionStorage.removeItem(key);
  } catch { runs[key] ??= ''; /* storage is blocked */ }
  return [runs[key]];
}
