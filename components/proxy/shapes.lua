-- Reads JSON, and says of a value whether it has a shape. Knows nothing of an engine. policy.lua and bodies.lua use it.

local function refuse(words)
    error({ words = words }, 0)
end

-- JSON ----------------------------------------------------------------------------------------------------------------

local NULL = {}
local WORDS = { null = NULL, ["true"] = true, ["false"] = false }
local DEEPEST, MOST = 20, 10000 -- levels, and values in a body: what a client of ill will may cost
local ESCAPES = { b = "\b", f = "\f", n = "\n", r = "\r", t = "\t", ['"'] = '"', ["\\"] = "\\", ["/"] = "/" }

-- Gives strings, numbers and booleans as Lua has them, {list = {...}}, {map = {...}} and NULL.
local function decode(text, what)
    local at, values = 1, 0

    local function skip()
        at = text:find("[^ \t\r\n]", at) or #text + 1
        return text:sub(at, at)
    end

    local function broken()
        refuse(what .. " is not JSON, at byte " .. at)
    end

    local function take(sign)
        if skip() ~= sign then
            broken()
        end
        at = at + 1
    end

    -- Halves of a pair stay two letters that nothing here compares with.
    local function letter()
        local digits = text:match("^u(%x%x%x%x)", at + 1)
        at = at + (digits and 6 or 2)
        return digits and utf8.char(tonumber(digits, 16)) or ESCAPES[text:sub(at - 1, at - 1)] or broken()
    end

    local function quoted()
        local parts = {}
        take('"')
        while true do
            local stop = text:find('[\0-\31"\\]', at) or broken()
            parts[#parts + 1] = text:sub(at, stop - 1)
            at = stop
            if text:sub(at, at) == '"' then
                at = at + 1
                return table.concat(parts)
            elseif text:sub(at, at) ~= "\\" then
                broken()
            end
            parts[#parts + 1] = letter()
        end
    end

    -- Reads what stands between two brackets, with commas in between.
    local function series(first, last, item)
        take(first)
        if skip() ~= last then
            item()
            while skip() == "," do
                at = at + 1
                item()
            end
        end
        take(last)
    end

    local function value(depth)
        local sign = skip()
        values = values + 1
        if depth > DEEPEST or values > MOST then
            refuse(what .. " has more than " .. DEEPEST .. " levels, or " .. MOST .. " values")
        elseif sign == '"' then
            return quoted()
        elseif sign == "[" then
            local list = {}
            series("[", "]", function() list[#list + 1] = value(depth + 1) end)
            return { list = list }
        elseif sign == "{" then
            local map = {}
            series("{", "}", function()
                local key = quoted()
                if map[key] ~= nil then
                    refuse(what .. " has the key " .. key .. " twice in one place")
                end
                take(":")
                map[key] = value(depth + 1)
            end)
            return { map = map }
        end
        local word = text:match("^[%w.+-]+", at) or broken()
        local found = WORDS[word]
        if found == nil then
            found = word:find("^-?%d[%d.eE+-]*$") and tonumber(word) or broken()
        end
        at = at + #word
        return found
    end

    local found = value(1)
    if skip() ~= "" then
        broken()
    end
    return found
end

-- Shapes: functions that take a value and where it stands, and refuse it unless it is as they say. NULL always
-- passes: the engine's decoder leaves the field as it is. ------------------------------------------------------------

local function show(value)
    if type(value) == "table" and value ~= NULL then
        return value.list and "[...]" or "{...}"
    end
    if value == NULL then
        return "null"
    end
    return type(value) == "string" and '"' .. value:sub(1, 60) .. '"' or tostring(value)
end

local function deny(value, place, accepted)
    refuse(place .. " = " .. show(value) .. "; accepted: " .. accepted)
end

local function either(kind)
    return function(value, place)
        if value ~= NULL and type(value) ~= kind then
            deny(value, place, "a " .. kind)
        end
    end
end

local text, number, flag = either("string"), either("number"), either("boolean")

-- A string that a test takes: a pattern, or a function that says true.
local function like(test, accepted)
    return function(value, place)
        local fits = type(value) == "string"
            and (type(test) == "function" and test(value) or type(test) == "string" and value:find(test) ~= nil)
        if value ~= NULL and not fits then
            deny(value, place, accepted)
        end
    end
end

local function one_of(...)
    local taken, words = {}, {}
    for _, value in ipairs({ ... }) do
        taken[value] = true
        words[#words + 1] = show(value)
    end
    return function(value, place)
        if value ~= NULL and not taken[value] then
            deny(value, place, table.concat(words, ", "))
        end
    end
end

local function absent(value, place)
    if value ~= NULL then
        deny(value, place, "null")
    end
end

-- What is in a list or an object.
local function inside(value, place, kind, accepted)
    if value ~= NULL and not (type(value) == "table" and value[kind]) then
        deny(value, place, accepted)
    end
    return value[kind] or {}
end

-- No null in a list: where the engine has pointers, it goes on with none and panics.
local function list(item)
    return function(value, place)
        for index, inner in ipairs(inside(value, place, "list", "a list")) do
            local where = place .. "[" .. index - 1 .. "]"
            if inner == NULL then
                deny(inner, where, "no null in a list")
            end
            item(inner, where)
        end
    end
end

local function map(key, item)
    return function(value, place)
        for name, inner in pairs(inside(value, place, "map", "an object")) do
            key(name, place)
            item(inner, place .. "." .. name)
        end
    end
end

local function struct(fields, other)
    return function(value, place)
        for name, inner in pairs(inside(value, place, "map", "an object")) do
            local field, where = fields[name] or other, place == "" and name or place .. "." .. name
            if not field then
                refuse(where .. " is not a field that a Docker pipeline needs")
            end
            field(inner, where)
        end
    end
end

local function between(least, most)
    return function(value, place)
        number(value, place)
        if value ~= NULL and not (value >= least and value <= most) then
            deny(value, place, least .. " to " .. most)
        end
    end
end

local texts, numbers = list(text), list(number)
local no_text, no_list, no_map, no_number, off = one_of(""), list(absent), struct({}), one_of(0), one_of(false)

-- Short texts that end in a file, a table or a command of the engine.
local plain = like("^[^%c]*$", "text without control characters")
local host = like("^[%w_.-]*$", "the name of a host, such as db-1")
local address = like(function(value)
    return value == "" or value:find("^%d+%.%d+%.%d+%.%d+$") or value:find("^%x*:[%x:.]*$")
end, "an IP address")
local hardware_address = like("^[%x:.-]*$", "a hardware address such as 02:42:ac:11:00:02")
local cpus = like("^[%d,-]*$", "numbers of processors or memory nodes, such as 0-2,4")
local signal = like("^[%w+-]*$", "a signal such as TERM")
local detach_keys = like("^[%w@^%[%]\\_,-]*$", "keys such as ctrl-p,ctrl-q")
-- In queries.
local switch = one_of("", "0", "1", "true", "false", "True", "False")
local count = like("^-?%d*$", "a whole number")
local moment = like("^[%w:.+-]*$", "a time such as 1700000000 or 10m")
local function json(shape)
    return function(value, place)
        if value ~= "" then
            shape(decode(value, place), place)
        end
    end
end

return {
    refuse = refuse, decode = decode, deny = deny, text = text, number = number, flag = flag, like = like,
    one_of = one_of, absent = absent, list = list, map = map, struct = struct, between = between, texts = texts,
    numbers = numbers, no_text = no_text, no_list = no_list, no_map = no_map, no_number = no_number, off = off,
    plain = plain, host = host, address = address, hardware_address = hardware_address, cpus = cpus,
    signal = signal, detach_keys = detach_keys, switch = switch, count = count, moment = moment, json = json,
}
