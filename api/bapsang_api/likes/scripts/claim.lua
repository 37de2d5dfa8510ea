-- Claim a post's pending changes for writing back.
-- KEYS: delta hash, claim hash. Returns the claim: user id, state, user id, state ...
-- A claim left by a run that died is returned first; changes made since wait in the delta for the next run.
if redis.call('EXISTS', KEYS[2]) == 0 and redis.call('EXISTS', KEYS[1]) == 1 then
  redis.call('RENAME', KEYS[1], KEYS[2])
end
return redis.call('HGETALL', KEYS[2])
