-- wrk's side of scripts/bench: sends the requests of a folder in turn and looks at every answer.
--
--   wrk -t1 -c N -s cycle.lua http://127.0.0.1:PORT -- FOLDER STATUS NUMBER KEEP
--
-- The files are described in exchange.py. STATUS is the status wanted, NUMBER the first of the numbers put into
-- requests, KEEP how many differing answers to keep. wrk does not say which request an answer belongs to, so a body
-- counts as expected when it is that of any of the addresses; load.py's generator holds each against its own.

local PLACE = "@@@@@@@@@@@@"

local thread

function setup(created)
  thread = created
end

-- The blocks of a file, each "<length>\n<bytes>"; false for a length below zero.
local function blocks(path)
  local file = assert(io.open(path, "rb"))
  return function()
    local length = file:read("*l")
    if not length then
      file:close()
      return nil
    end
    length = tonumber(length)
    return length >= 0 and file:read(length) or false
  end
end

function init(args)
  folder, wanted, number, keep = args[1], tonumber(args[2]), tonumber(args[3]), tonumber(args[4])
  requests, expected, any = {}, {}, false
  for raw in blocks(folder .. "/requests") do
    local at = raw:find(PLACE, 1, true)
    requests[#requests + 1] = at and { raw:sub(1, at - 1), raw:sub(at + #PLACE) } or raw
  end
  for body in blocks(folder .. "/expected") do
    if body then expected[body] = true else any = true end
  end
  current, compared, differing, wrong, first_wrong = 0, 0, 0, 0, ""
end

function request()
  current = current % #requests + 1
  local raw = requests[current]
  if type(raw) == "string" then return raw end
  number = number + 1
  return raw[1] .. string.format("%012d", number) .. raw[2]
end

function response(status, _, body)
  if status ~= wanted then
    wrong = wrong + 1
    if wrong == 1 then first_wrong = status .. " " .. body:sub(1, 200) end
    return
  end
  if any then return end
  compared = compared + 1
  if expected[body] then return end
  differing = differing + 1
  if differing > keep then return end
  out = out or assert(io.open(folder .. "/differing", "wb"))
  out:write("-1 ", #body, "\n", body) -- -1: which of the addresses is not known
  out:flush()
end

local function quoted(text)
  return '"' .. text:gsub('[%c"\\\128-\255]', function(c) return string.format("\\u%04x", c:byte()) end) .. '"'
end

-- One line of JSON with the keys of load.Result, times in seconds.
function done(summary, latency, _)
  local errors = summary.errors
  print(string.format(
    '{"requests": %d, "seconds": %.6f, "p50": %.6f, "p99": %.6f, "p999": %.6f, "errors": %d, ' ..
    '"wrong": %d, "first_wrong": %s, "compared": %d, "differing": %d}',
    summary.requests, summary.duration / 1e6,
    latency:percentile(50) / 1e6, latency:percentile(99) / 1e6, latency:percentile(99.9) / 1e6,
    errors.connect + errors.read + errors.write + errors.timeout,
    thread:get("wrong"), quoted(thread:get("first_wrong")), thread:get("compared"), thread:get("differing")))
end
